"""Images of the store: listed, named, removed, described and checked; and what takes room beside them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocibuild.api.base import SessionBase
from ocibuild.errors import InvalidReference, NoMatchingPlatform, NotInStore, UsageError
from ocibuild.graph import told
from ocibuild.oci import Platform, Reference, select
from ocibuild.store import find_entry, find_image, list_images, load_image, translate_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.archive import Report
    from ocibuild.oci import Descriptor, Digest
    from ocibuild.store import ImageFilter, Item, ListedImage, Pruning, RemovedImage, StoredImage


_ALGORITHMS = frozenset({"sha256", "sha512"})


class LocalImages(SessionBase):
    """See ``Session``."""

    def images(self, chosen: ImageFilter | None = None) -> list[ListedImage]:
        """Return the images of the store that are ``chosen``, once for each of their tags, the newest first."""
        from ocibuild.store import ImageFilter

        found = list(list_images(self.store, Platform.host()))[::-1]
        found.sort(key=lambda listed: listed.summary.created_at, reverse=True)
        return (chosen or ImageFilter()).chosen(found, self.find)

    def remove_image(self, name: str, *, force: bool = False, keep: bool = False) -> RemovedImage:
        """Remove a name of an image, and the image with its last one: see ``ocibuild.store.remove_image``."""
        from ocibuild.store import remove_image

        # the owners of unpacked files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            return remove_image(self.store, name, Platform.host(), force=force, keep=keep)

    def find(self, name: str) -> StoredImage:
        """Return the image that a reference or an image ID names; raise NotInStore."""
        return find_image(self.store, name, Platform.host())

    def image_id(self, descriptor: Descriptor) -> Digest:
        """Return the ID of an image of the store, of an index that of the image for this machine, or its own digest."""
        try:
            return load_image(self.store.blobs, descriptor.digest, Platform.host()).manifest.config.digest
        except NotInStore:
            return descriptor.digest

    def tag(self, source: str, destination: Reference) -> None:
        """Give an image of the store one more name; raise NotInStore, UsageError for a name with a digest."""
        if destination.tag is None:
            raise UsageError(f"{destination.familiar()}: a tag cannot be a digest", remedy="give NAME:TAG")
        if destination.familiar_name() in _ALGORITHMS:
            problem = f"{destination.familiar()}: it would be taken for a digest"
            raise InvalidReference(problem, remedy="take another name")
        self.store.tags.set(destination, self._descriptor(source))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what ``docker inspect`` shows of an image."""
        from ocibuild.output import describe_image

        image = self.find(name)
        names = [
            listed.reference
            for listed in self.images()
            if listed.reference and listed.summary.manifest == image.descriptor.digest
        ]
        return describe_image(image, names)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return what ``docker history`` shows of an image, newest first."""
        from ocibuild.output import describe_history

        return describe_history(self.find(name))

    def validate(self, target: str, *, all_faults: bool = False) -> Report:
        """Check a layout, an archive, or else an image of the store, against the schemas and every digest.

        What begins with a transport, such as ``docker://``, is where that leads.
        """
        from ocibuild.archive import validate_path, validate_stored

        if os.path.exists(target):
            return validate_path(target, all_faults=all_faults)
        try:
            descriptor = self._descriptor(target)
        except (NotInStore, InvalidReference) as error:
            from ocibuild.transfer import has_transport

            if has_transport(target):
                return self._validate_elsewhere(target, all_faults=all_faults)
            if isinstance(error, InvalidReference):
                raise
            raise NotInStore(
                f"{target}: neither a file or folder nor an image in the store",
                remedy=f"an image of a registry is docker://{target}",
            ) from error
        return validate_stored(self.store, descriptor, subject=target, all_faults=all_faults)

    def _validate_elsewhere(self, target: str, *, all_faults: bool) -> Report:
        from ocibuild.transfer import Ends, parse_location
        from ocibuild.transfer.validate import validate_location

        location = parse_location(target)
        with self._shown(f"validate {location}") as emit, translate_errors(self._settings.root):
            ends = Ends(lambda: self.registry, lambda: self.store)
            with told(emit, 1, f"reading {location}"):
                return validate_location(ends, location, all_faults=all_faults)

    def usage(self) -> list[Item]:
        """Return what takes room in the store beside its images, the least recently used first."""
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            return self.store.usage.items()

    def inputs(self, items: Sequence[Item]) -> dict[str, tuple[Digest, dict[str, Any]]]:
        """Return the cache key of each result of a step, and the inputs that it is of, by the item's ID.

        Results of versions that did not keep them are left out.
        """
        numbers = [int(item.id) for item in items if item.kind.value == "regular"]
        found = self.store.records.inputs.of_snapshots(numbers)
        return {str(number): (key, json.loads(text)) for number, (key, text) in found.items()}

    def prune(self, pruning: Pruning) -> list[Item]:
        """Remove what ``pruning`` says, and what killed processes have left; return what was removed."""
        # the owners of files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            for left in (self.store.snapshots, self.store.trees, self.store.caches):
                left.recover()
            return self.store.usage.prune(pruning)

    def _find_for(self, name: str, platform: Platform) -> StoredImage:
        image = find_image(self.store, name, platform)
        found = image.config.platform
        if select([replace(image.descriptor, platform=found)], platform) is None:
            raise NoMatchingPlatform(
                f"{name}: no image for {platform}; it has {found}", remedy="pull or build it for that"
            )
        return image

    def _descriptor(self, name: str) -> Descriptor:
        """Return what a name stands for as it is tagged: the index, where it is one."""
        return find_entry(self.store, name, Platform.host())
