"""What to build, as plain data: the Dockerfile is converted to it, the solver runs it."""

from ocibuild.graph.events import Emit, Event, Finished, Output, Started, Stream, Transferred, Warned
from ocibuild.graph.vertex import (
    NOWHERE,
    Context,
    Copy,
    Image,
    MakeDirectory,
    Network,
    Origin,
    Run,
    Scratch,
    Vertex,
    inputs,
)

__all__ = [
    "NOWHERE",
    "Context",
    "Copy",
    "Emit",
    "Event",
    "Finished",
    "Image",
    "MakeDirectory",
    "Network",
    "Origin",
    "Output",
    "Run",
    "Scratch",
    "Started",
    "Stream",
    "Transferred",
    "Vertex",
    "Warned",
    "inputs",
]
