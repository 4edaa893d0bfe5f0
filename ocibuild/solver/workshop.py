"""What the operations work with, given by whoever solves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.executor import Process
    from ocibuild.graph import Emit, Image, Stream
    from ocibuild.layer import Ownership
    from ocibuild.oci import Descriptor
    from ocibuild.rootfs import OverlaySnapshotter
    from ocibuild.sandbox import Outcome, Overlay
    from ocibuild.source import LocalContext
    from ocibuild.store import Store


class Executor(Protocol):
    """Runs processes."""

    def run(self, process: Process, root: Overlay, scratch: str, *, output: Callable[[Stream, bytes], None]) -> Outcome:
        """Run a process to its end; raise SandboxError where it cannot be started."""


class Fetch(Protocol):
    """Gets a layer's blob of an image from wherever images come from."""

    def __call__(self, image: Image, descriptor: Descriptor, write: Callable[[bytes], None], /) -> None:
        """Give all bytes of the blob to ``write``."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What looking up needs: all that a build which is cached ever touches."""

    store: Store
    contexts: Mapping[str, LocalContext]
    emit: Emit


@dataclass(frozen=True, slots=True)
class Workshop(Inputs):
    """The peers of the operations; ``stop`` ends all that runs or arrives, from any thread."""

    snapshotter: OverlaySnapshotter
    executor: Executor
    ownership: Ownership
    fetch: Fetch
    stop: Callable[[], None]
