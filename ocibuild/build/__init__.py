"""One request to one result, joining the rooms below."""

from ocibuild.build.build import Builder
from ocibuild.build.machine import Machine
from ocibuild.build.request import BuildRequest, BuildResult

__all__ = ["BuildRequest", "BuildResult", "Builder", "Machine"]
