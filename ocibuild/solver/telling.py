"""What users are told of the work on a vertex: its beginning and end, and where in a Dockerfile an error belongs."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild import graph
from ocibuild.errors import OcibuildError, SourceError
from ocibuild.store import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Told, Vertex
    from ocibuild.solver.workshop import Inputs


@contextmanager
def told(inputs: Inputs, vertex: Vertex, step: int) -> Iterator[Told]:
    """Tell of the beginning and the end of the work on a vertex, and give its errors their place."""
    whole = graph.told(inputs.emit, step, vertex.origin.label)
    with whole as outcome, located(vertex), translate_errors(inputs.store.root):
        yield outcome


def tell_cached(inputs: Inputs, vertex: Vertex, step: int) -> None:
    """Tell of a vertex about which nothing is to be done."""
    with graph.told(inputs.emit, step, vertex.origin.label) as outcome:
        outcome.cached = True


@contextmanager
def located(vertex: Vertex) -> Iterator[None]:
    """Give an error from inside the block the place of the instruction, where it has none yet."""
    try:
        yield
    except OcibuildError as error:
        error.location = error.location or vertex.origin.location
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise SourceError(f"{error.filename}: {error.strerror}", location=vertex.origin.location) from error
