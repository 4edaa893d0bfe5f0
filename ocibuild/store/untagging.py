"""Images removed: their names, and with the last name what only they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import InvalidReference, NotInStore, StoreError
from ocibuild.oci import Reference
from ocibuild.store.lookup import images_by_id, list_images
from ocibuild.store.tags import REF_NAME
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.oci import Descriptor, Digest, Platform
    from ocibuild.store.store import Store


class RemovedImage(NamedTuple):
    """What is gone: names as docker shows them, and the IDs of images that have none any more."""

    names: tuple[str, ...]
    ids: tuple[Digest, ...]


def remove_image(store: Store, text: str, platform: Platform, *, force: bool, keep: bool) -> RemovedImage:
    """Remove a name of an image, and the image with its last one; by an image ID, all of its names.

    ``text`` is as for ``find_image``; with a digest all names in that repository are meant. ``keep`` leaves the blobs
    and unpacked layers of an image that has no name any more. What another image has, or somebody works with, stays.
    Raises NotInStore, InvalidReference; unless ``force``, StoreError where an ID has several names, or a container
    needs what would be gone.
    """
    meant = _meant(store, text, platform, force=force)
    if not force:
        _refuse_used(store, text, meant)
    before = _ids(store, platform)
    reached = store.usage.named(meant)
    store.tags.drop(meant)
    after = _ids(store, platform).values()
    if not keep:
        store.usage.forget(reached)
    names = tuple(_familiar(entry.annotations[REF_NAME]) for entry in meant if REF_NAME in entry.annotations)
    ids = dict.fromkeys(before[entry] for entry in meant if entry in before)
    return RemovedImage(names, tuple(image_id for image_id in ids if image_id not in after))


def _refuse_used(store: Store, text: str, meant: Sequence[Descriptor]) -> None:
    """Raise StoreError where these are the last entries of an image that a container was made of."""
    stays = {entry.digest for entry in store.tags.entries() if entry not in meant}
    going = store.usage.named([entry for entry in meant if entry.digest not in stays])
    for container in store.containers.all():
        if container.image in going:
            what = "runs it" if container.is_running else "was made of it"
            raise StoreError(
                f"{text}: the container {container.name} {what}",
                remedy=f"remove that with `ocibuild rm {container.name}`, or use --force",
            )


def _familiar(name: str) -> str:
    try:
        return Reference.parse(name).familiar()
    except InvalidReference:  # another tool put it there
        return name


def _ids(store: Store, platform: Platform) -> dict[Descriptor, Digest]:
    """Return the image ID of each entry that has one."""
    return {listed.entry: listed.summary.image_id for listed in list_images(store, platform)}


def _meant(store: Store, text: str, platform: Platform, *, force: bool) -> Sequence[Descriptor]:
    """Return the entries that are to go."""
    if by_id := images_by_id(store, text, platform):
        entries = [listed.entry for listed in by_id]
        names = [entry.annotations[REF_NAME] for entry in entries if REF_NAME in entry.annotations]
        if len(names) > 1 and not force:
            raise StoreError(f"{text}: the image has {len(names)} names", remedy="remove it by name, or use --force")
        return entries
    reference = Reference.parse(text)
    found = [entry for entry in store.tags.entries() if _is_named(entry, reference)]
    if not found:
        raise NotInStore(f"{reference.familiar()}: no such image in the store")
    return found


def _is_named(entry: Descriptor, reference: Reference) -> bool:
    """Tell whether a reference means an entry; one with a digest, all names of its repository that have it, or none."""
    name = entry.annotations.get(REF_NAME)
    if reference.digest is None:
        return name == str(reference)
    return entry.digest == reference.digest and (name is None or name.startswith(f"{reference.repository}:"))
