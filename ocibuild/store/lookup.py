"""Images as a user names them: by reference, or by image ID, which may be shortened while it is unambiguous."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidReference, NotInStore
from ocibuild.oci import Reference, is_index
from ocibuild.store.images import describe_manifest, load_image, selected_manifest
from ocibuild.store.tags import REF_NAME
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.oci import Descriptor, Platform
    from ocibuild.store.images import StoredImage
    from ocibuild.store.store import Store
    from ocibuild.store.summaries import ImageSummary


_WHOLE = 64
"""Digits of an ID."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image of the store under one of its names; ``reference`` is None where no tag names it.

    ``entry`` is that of the layout's index, which may name an index of several images.
    """

    reference: Reference | None
    summary: ImageSummary
    entry: Descriptor


def list_images(store: Store, platform: Platform) -> Iterator[ListedImage]:
    """Yield every image of the store, once for each tag, newest last.

    Of an index, the image for ``platform``; one that the store does not have whole is left out.
    """
    named = []
    for entry in store.tags.entries():
        name = entry.annotations.get(REF_NAME)
        with suppress(NotInStore, InvalidReference):  # another tool may have put it there under a name of its own
            manifest = entry.digest
            if is_index(entry.media_type):
                manifest = selected_manifest(store.blobs, entry.digest, entry.platform or platform)
            named.append((Reference.parse(name) if name else None, manifest, entry))
    summaries = store.summaries.of_all({manifest for _, manifest, _ in named}, platform)
    for reference, manifest, entry in named:
        if manifest in summaries:
            yield ListedImage(reference, summaries[manifest], entry)


def find_image(store: Store, text: str, platform: Platform) -> StoredImage:
    """Return the image that ``text`` names, a reference or the beginning of an image ID, of an index for ``platform``.

    Raises NotInStore where there is none or more than one, InvalidReference where it can be neither.
    """
    if by_id := images_by_id(store, text, platform):
        return load_image(store.blobs, by_id[0].summary.manifest, platform)
    return load_image(store.blobs, _named(store, text).digest, platform)


def find_entry(store: Store, text: str, platform: Platform) -> Descriptor:
    """Return what ``text`` stands for as the layout's index has it, an index where it names one; see ``find_image``."""
    if by_id := images_by_id(store, text, platform):
        if _is_index_with(by_id[0].entry, text):
            return by_id[0].entry
        image = load_image(store.blobs, by_id[0].summary.manifest, platform)
        return replace(image.descriptor, platform=image.config.platform)
    return _named(store, text)


def _named(store: Store, text: str) -> Descriptor:
    """Return the entry that a reference names, or one for a manifest or index that it names by digest."""
    reference = Reference.parse(text)
    entries = store.tags.entries()
    if reference.digest is None:
        found = next((entry for entry in entries if entry.annotations.get(REF_NAME) == str(reference)), None)
    else:
        found = next((entry for entry in entries if entry.digest == reference.digest), None)
    if found is None and reference.digest is not None and store.blobs.has(reference.digest):
        found = describe_manifest(store.blobs, reference.digest)
    if found is None or not store.blobs.has(found.digest):
        raise NotInStore(f"{reference.familiar()}: no such image in the store", remedy="build it, or pull it")
    return found


def images_by_id(store: Store, text: str, platform: Platform) -> list[ListedImage]:
    """Return the image whose ID begins with ``text``, once for each name; nothing where that is no such beginning.

    Neither where an image has that for its name. The ID of an index, which stands for its image, is its digest.
    Raises NotInStore where it is that of more than one.
    """
    if not re.fullmatch(r"(sha256:)?[0-9a-f]{1,64}", text):
        return []
    if len(text) < _WHOLE and not text.startswith("sha256:") and store.tags.get(Reference.parse(text)):
        return []
    wanted = text.removeprefix("sha256:")
    listed = list(list_images(store, platform))
    found = [
        one for one in listed if one.summary.image_id.encoded.startswith(wanted) or _is_index_with(one.entry, text)
    ]
    ids = {one.summary.image_id for one in found}
    if len(ids) > 1:
        raise NotInStore(f"{text}: {len(ids)} images have an ID that begins so", remedy="give more of it")
    return found


def _is_index_with(entry: Descriptor, text: str) -> bool:
    """Tell whether an entry is an index whose digest begins so."""
    return is_index(entry.media_type) and entry.digest.encoded.startswith(text.removeprefix("sha256:"))
