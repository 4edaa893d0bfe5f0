"""What the operations work with, given by whoever solves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from socket import socket

    from ocibuild.executor import Executor
    from ocibuild.graph import Emit, GitTree, HttpFile, Image
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Descriptor, Digest, Limits
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.source import LocalContext
    from ocibuild.store import ActiveSnapshot, BlobWriter, LayerRecord, Store


class OriginOf(Protocol):
    """Says where images come from."""

    def __call__(self, image: Image, /) -> BlobOrigin:
        """Return what brings the blobs of an image into the store."""


class Elsewhere(Protocol):
    """Caches beyond the store; none of them can make a build fail."""

    def find(self, keys: Sequence[Digest], /) -> Mapping[Digest, LayerRecord]:
        """Return what was produced under these keys, as far as it is known there."""

    def origin_of(self, record: LayerRecord, /) -> BlobOrigin:
        """Return what brings the blob of a layer that was found into the store."""

    def forget(self, keys: Iterable[Digest], problem: str, /) -> None:
        """Find nothing under these keys any more, and tell the user why."""


class Identify(Protocol):
    """Finds out what is behind a URL or in a repository, without fetching more than it must."""

    def __call__(self, vertex: HttpFile | GitTree, /) -> str:
        """Return a name for the files, which is another where they are; raise SourceError where there are none."""


class Bring(Protocol):
    """Gets the files that ``Identify`` has named."""

    def __call__(self, vertex: HttpFile | GitTree, active: ActiveSnapshot, step: int, /) -> None:
        """Put the files into the directory of ``active``; raise SourceError."""


class Outlet(Protocol):
    """Where layers go while the build still goes on; it is told from any thread."""

    def provides(self, layer: Descriptor, /) -> bool:
        """Tell whether all who get the image have a layer that the store has not, so that it need not come here."""

    def arrived(self, layer: Descriptor, /) -> None:
        """Take a layer of the target that was brought from elsewhere, and is now in the store."""

    def growing(self, blob: BlobWriter, /, *, is_own: bool) -> None:
        """Take a large layer that is still being packed, of the target itself or of another stage."""

    def packed(self, layer: Descriptor, /, *, is_own: bool) -> None:
        """Take a layer that was packed, and is now in the store."""


class Secrets(Protocol):
    """The secrets of a build."""

    def __call__(self, name: str, /) -> bytes | None:
        """Return what a secret holds, None where the build was not given it; raise SourceError."""


class Agents(Protocol):
    """The SSH agents of a build."""

    def __call__(self, name: str, /) -> Callable[[], socket] | None:
        """Return what connects to an agent, None where the build was not given it; raise SourceError."""


def nothing_given(name: str, /) -> None:
    """Give no secret and no agent."""


class NoOutlet:
    """Layers go into the store alone; see ``Outlet``."""

    def provides(self, _layer: Descriptor, /) -> bool:
        """See ``Outlet``."""
        return False

    def arrived(self, layer: Descriptor, /) -> None:
        """See ``Outlet``."""

    def growing(self, blob: BlobWriter, /, *, is_own: bool) -> None:
        """See ``Outlet``."""

    def packed(self, layer: Descriptor, /, *, is_own: bool) -> None:
        """See ``Outlet``."""


def usual_limits() -> Limits:
    """Give the limits of who has not set any."""
    from ocibuild.oci import Limits

    return Limits()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What looking up needs: all that a build which is cached ever touches.

    ``elsewhere`` is asked for what the store does not have.
    """

    store: Store
    contexts: Mapping[str, LocalContext]
    emit: Emit
    identify: Identify
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop(Inputs):
    """The peers of the operations; ``stop`` ends all that runs or arrives, from any thread.

    ``limits`` are asked for when an image is unpacked. With ``pasta`` a step of the network DEFAULT has one of its own,
    which pasta connects. ``look_at``, where somebody wants to, is called in the main thread with what a RUN that failed
    has left, before that is undone and when nothing else runs. ``threads`` compress a layer.
    """

    snapshotter: Snapshotter
    executor: Executor
    ownership: Ownership
    origin_of: OriginOf
    bring: Bring
    stop: Callable[[], None]
    secrets: Secrets = nothing_given
    agents: Agents = nothing_given
    outlet: Outlet = NoOutlet()
    limits: Callable[[], Limits] = usual_limits
    pasta: bool = False
    threads: int = 1
    look_at: Callable[[Aftermath], None] | None = None
