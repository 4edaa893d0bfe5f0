"""Which images an archive holds, of whichever kind it is."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.archive.dockerarchive import parse_images
from ocibuild.archive.dockersource import DockerArchiveSource, open_files
from ocibuild.archive.layout import open_source, read_file
from ocibuild.archive.layoutsource import LayoutSource
from ocibuild.archive.naming import CONTAINERD_NAME
from ocibuild.errors import InvalidDocument, InvalidLayer, InvalidReference, naming
from ocibuild.oci import Index, Reference, mediatypes, parse_manifest
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.store import REF_NAME
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.layout import Source
    from ocibuild.oci import Descriptor, Digest, ImageSource

_INDEX_LIMIT = 16 << 20


class ArchiveEntry(NamedTuple):
    """An image of an archive, or an index of several, and the names that it has there."""

    source: ImageSource
    names: tuple[Reference, ...]


@contextmanager
def archive_entries(path: str, subject: str) -> Iterator[tuple[ArchiveEntry, ...]]:
    """Open a layout in a folder, or a plain tar of a layout or of docker; give all its images, good inside the block.

    What is both is read as a layout, since its digests are known. Raises InvalidDocument, InvalidLayer, DigestMismatch,
    and OcibuildError where it cannot be read.
    """
    with ExitStack() as cleanup:
        with naming(subject):
            found = _entries(path, subject, cleanup)
        yield found


def _entries(path: str, subject: str, cleanup: ExitStack) -> tuple[ArchiveEntry, ...]:
    if os.path.isdir(path):
        return _of_layout(cleanup.enter_context(open_source(path)), subject)
    try:
        files = cleanup.enter_context(open_files(path))
    except InvalidLayer as error:
        raise InvalidDocument(f"no archive, or a damaged one: {error.message}", remedy="save it again") from error
    if files.size_of("oci-layout") is not None:
        return _of_layout(cleanup.enter_context(open_source(path)), subject)
    if files.size_of("manifest.json") is None:
        raise InvalidDocument(
            "it has neither a manifest.json nor an oci-layout, so no image", remedy="`ocibuild import` takes any tar"
        )
    images = parse_images(read_file(files, "manifest.json", limit=MANIFEST_LIMIT))
    return tuple(
        ArchiveEntry(DockerArchiveSource(files, subject, image), tuple(map(Reference.parse, image.names)))
        for image in images
    )


def _of_layout(layout: Source, subject: str) -> tuple[ArchiveEntry, ...]:
    with naming("index.json"):
        index = parse_manifest(read_file(layout, "index.json", limit=_INDEX_LIMIT), mediatypes.OCI_INDEX)
    roots: dict[Digest, Descriptor] = {}
    names: dict[Digest, dict[Reference, None]] = {}
    for entry in index.manifests if isinstance(index, Index) else ():
        roots.setdefault(entry.digest, entry)
        names.setdefault(entry.digest, {}).update(dict.fromkeys(_names(entry)))
    return tuple(
        ArchiveEntry(LayoutSource(layout, subject, partial(roots.__getitem__, digest)), tuple(found))
        for digest, found in names.items()
    )


def _names(entry: Descriptor) -> Iterator[Reference]:
    """Yield the name of an entry: what containerd says, else one with a repository; a tag alone is no name."""
    full, short = entry.annotations.get(CONTAINERD_NAME), entry.annotations.get(REF_NAME, "")
    if full:
        yield Reference.parse(full)
    elif "/" in short or ":" in short:
        try:
            yield Reference.parse(short)
        except InvalidReference:  # the specification allows anything
            return
