"""Names for images: the ``index.json`` of the layout (image-spec, image-layout.md)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import StoreError
from ocibuild.oci import Descriptor, Index, Reference, mediatypes, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeAlias

    from ocibuild.store.locks import Locks

REF_NAME = "org.opencontainers.image.ref.name"
_LOCK = "index.json"

if TYPE_CHECKING:
    _Change: TypeAlias = Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]]


class Tags:
    """The tags of a store, and its images without one.

    Each manifest in ``index.json`` with the annotation ``org.opencontainers.image.ref.name`` is a tag, under its full
    name (``docker.io/library/alpine:latest``); one without is an image that no tag names. The file is replaced as a
    whole under a lock, so a reader sees the old one or the new one.
    """

    def __init__(self, root: str, locks: Locks) -> None:
        self._path = os.path.join(root, "index.json")
        self._locks = locks

    def entries(self) -> tuple[Descriptor, ...]:
        """Return every manifest of the layout, oldest first, tagged or not."""
        try:
            with open(self._path, "rb") as file:
                index = parse_manifest(file.read(), mediatypes.OCI_INDEX, trusted=True)
        except FileNotFoundError:
            return ()
        if not isinstance(index, Index):
            raise StoreError(f"{self._path}: not an image index")
        return index.manifests

    def get(self, reference: Reference) -> Descriptor | None:
        """Return what the tag names, or None."""
        name = str(reference)
        return next((entry for entry in self.entries() if entry.annotations.get(REF_NAME) == name), None)

    def set(self, reference: Reference, descriptor: Descriptor) -> None:
        """Let the tag name ``descriptor``; what it named before stays, without a name unless it has another."""
        self._update(lambda entries: _tagged(entries, str(reference), descriptor))

    def give(self, descriptor: Descriptor, references: Sequence[Reference]) -> None:
        """Let each of the tags name ``descriptor``, which is kept without a name where there are none."""
        for reference in references:
            self.set(reference, descriptor)
        if not references:
            self.keep(descriptor)

    def keep(self, descriptor: Descriptor) -> None:
        """Keep an image that no tag names; nothing changes where it is here already."""
        self._update(lambda entries: entries if _has(entries, descriptor) else (*entries, _bare(descriptor)))

    def drop(self, dropped: Collection[Descriptor]) -> None:
        """Forget these entries."""
        self._update(lambda entries: tuple(entry for entry in entries if entry not in dropped))

    def remove(self, reference: Reference) -> bool:
        """Forget the tag; tell whether there was one. Its image stays only under its other tags."""
        name = str(reference)
        there = self.get(reference) is not None
        self._update(lambda entries: tuple(entry for entry in entries if entry.annotations.get(REF_NAME) != name))
        return there

    def _update(self, change: _Change) -> None:
        with self._locks.holding(_LOCK):
            before = self.entries()
            after = change(before)
            if after != before:
                self._replace(Index(media_type=mediatypes.OCI_INDEX, manifests=after))

    def _replace(self, index: Index) -> None:
        temporary = f"{self._path}.new"  # one that a killed process left is written over: we hold the lock
        with open(temporary, "wb") as file:
            file.write(json.dumps(index.to_json(), separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._path)


def _tagged(entries: tuple[Descriptor, ...], name: str, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    new = descriptor.with_annotations({REF_NAME: name})
    if new in entries:
        return entries
    old = [entry for entry in entries if entry.annotations.get(REF_NAME) == name]
    others = tuple(
        entry
        for entry in entries
        if entry not in old and not (entry.digest == new.digest and REF_NAME not in entry.annotations)
    )
    orphans = tuple(_bare(entry) for entry in old if not _has((*others, new), entry))
    return (*others, *orphans, new)


def _has(entries: tuple[Descriptor, ...], descriptor: Descriptor) -> bool:
    return any(entry.digest == descriptor.digest for entry in entries)


def _bare(descriptor: Descriptor) -> Descriptor:
    kept = {key: value for key, value in descriptor.annotations.items() if key != REF_NAME}
    return replace(descriptor, annotations=kept)
