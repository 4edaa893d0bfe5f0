"""Locations opened: each by the room that knows its form."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import UsageError
from ocibuild.transfer.locations import (
    DockerArchiveLocation,
    FolderLocation,
    LayoutLocation,
    RegistryLocation,
    StoreLocation,
)
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Reference
    from ocibuild.oci.image_io import ImageDestination, ImageSource
    from ocibuild.registry import Registry, RegistryDestination
    from ocibuild.store import Store
    from ocibuild.transfer.locations import Location


@dataclass(frozen=True, slots=True)
class Ends:
    """What locations are opened with; ``registry`` and ``store`` are called where one needs them."""

    registry: Callable[[], Registry]
    store: Callable[[], Store]

    def open_source(self, location: Location) -> AbstractContextManager[ImageSource]:
        """Open where an image is copied from."""
        match location:
            case RegistryLocation(reference):
                from ocibuild.registry import RegistrySource

                return nullcontext(RegistrySource(self.registry(), reference, self.store().origins))
            case LayoutLocation(path, tag, digest, archive):
                from ocibuild.archive import layout_source

                return layout_source(path, str(location), tag=tag, digest=digest, archive=archive)
            case DockerArchiveLocation(path, reference, number):
                from ocibuild.archive import docker_archive_source

                return docker_archive_source(path, str(location), reference=reference, number=number)
            case FolderLocation(path):
                from ocibuild.archive import folder_source

                return folder_source(path, str(location))
            case StoreLocation(reference):
                from ocibuild.store import StoreSource

                return nullcontext(StoreSource.named(self.store(), reference))
            case _:
                assert_never(location)

    def open_destination(self, location: Location) -> AbstractContextManager[ImageDestination]:
        """Open where an image is copied to; leaving the context after an error leaves nothing with a name."""
        subject = str(location)
        match location:
            case RegistryLocation(reference):
                return nullcontext(self._repository(reference))
            case LayoutLocation(path, tag, _, archive=False):
                from ocibuild.archive import layout_destination

                return layout_destination(path, subject, tag)
            case LayoutLocation(path, tag):
                from ocibuild.archive import archive_destination

                return archive_destination(path, subject, tag)
            case DockerArchiveLocation(path, reference):
                from ocibuild.archive import docker_archive_destination

                return docker_archive_destination(path, subject, reference)
            case FolderLocation(path):
                from ocibuild.archive import folder_destination

                return folder_destination(path, subject)
            case StoreLocation(reference):
                from ocibuild.store import StoreDestination

                return nullcontext(StoreDestination(self.store(), reference))
            case _:
                assert_never(location)

    def _repository(self, reference: Reference) -> RegistryDestination:
        """Return a repository that blobs go to, taken from where the store knows the registry to have them."""
        from ocibuild.registry import RegistryDestination

        return RegistryDestination(self.registry(), [reference], self.store().origins)


def check_destination(location: Location) -> None:
    """Raise UsageError where nothing can be copied to a location, because it names what is there already."""
    if isinstance(location, LayoutLocation) and location.digest:
        raise UsageError(f"{location}: a destination is named by a tag", remedy="give :TAG in place of the digest")
    if not isinstance(location, DockerArchiveLocation):
        return
    if location.number is not None:
        raise UsageError(f"{location}: a destination has no number", remedy="give :NAME:TAG, or nothing")
    if location.reference and location.reference.tag is None:
        raise UsageError(f"{location}: a destination is named by a tag", remedy="give NAME:TAG")
