"""Which image of a layout is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocibuild.archive.layout import blob_name, read_file
from ocibuild.archive.naming import CONTAINERD_NAME
from ocibuild.errors import InvalidDocument, NotFound, naming
from ocibuild.oci import Descriptor, Index, mediatypes, parse_manifest
from ocibuild.store import REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.layout import Source
    from ocibuild.oci import Digest

_DOCUMENT_LIMIT: Final = 16 << 20  # bytes


def chosen(source: Source, tag: str | None, digest: Digest | None) -> Descriptor:
    """Return the entry of ``index.json`` with ``digest``, else with ``tag``; else ``latest``, or the only one.

    A tag is what skopeo and umoci write as the name, or the tag of a full name. Raises NotFound, InvalidDocument.
    """
    with naming("index.json"):
        index = parse_manifest(read_file(source, "index.json", limit=_DOCUMENT_LIMIT), mediatypes.OCI_INDEX)
    entries = index.manifests if isinstance(index, Index) else ()
    if digest is not None:
        return next((entry for entry in entries if entry.digest == digest), None) or _by_digest(source, digest)
    wanted = tag or "latest"
    found = [entry for entry in entries if wanted in _tags(entry) or wanted in _names(entry)]
    if not found and tag is None and len(entries) == 1:
        found = list(entries)
    if not found:
        names = ", ".join(sorted({name for entry in entries for name in _tags(entry)})) or "no tag at all"
        raise NotFound(f"no image with the tag {wanted!r} in the layout", remedy=f"it has {names}")
    return found[-1]


def _names(entry: Descriptor) -> Iterator[str]:
    yield from filter(None, (entry.annotations.get(name) for name in (REF_NAME, CONTAINERD_NAME)))


def _tags(entry: Descriptor) -> Iterator[str]:
    for name in _names(entry):
        tag = name.rpartition(":")[2]
        if tag and "/" not in tag:
            yield tag


def _by_digest(source: Source, digest: Digest) -> Descriptor:
    """Return the descriptor of a manifest that an index of the layout may name, or nothing at all."""
    size = source.size_of(blob_name(digest))
    if size is None:
        raise NotFound(f"no image with the digest {digest} in the layout")
    if size > _DOCUMENT_LIMIT:
        raise InvalidDocument(f"{digest} has {size} bytes, and a manifest may have {_DOCUMENT_LIMIT}")
    with source.open_file(blob_name(digest)) as file:
        document = parse_manifest(file.read(size))
    return Descriptor(document.media_type, digest, size)
