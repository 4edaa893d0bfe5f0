"""Images for the tests: packed from real trees into a store."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive import NamedImage, write_archive, write_layout
from ocibuild.fs import Root
from ocibuild.layer.changes import Changed
from ocibuild.layer.owners import RecordedOwners
from ocibuild.layer.pack import pack
from ocibuild.oci import (
    Compression,
    Descriptor,
    DiffID,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    RunConfig,
    layer_type,
    mediatypes,
)
from ocibuild.store import Layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ocibuild.oci import Reference
    from ocibuild.store import Blobs, Store

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
TREES: tuple[Mapping[str, bytes], ...] = (
    {"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "bin/tool": b"\x7fELF" + bytes(100_000)},
    {"app/run": b"#!/bin/sh\necho hello\n", "etc/motd": b"welcome\n"},
)


def put_layer(
    store: Store, folder: Path, tree: Mapping[str, bytes], compression: Compression = Compression.GZIP
) -> Layer:
    """Pack the files of ``tree`` as a layer into the store."""
    folder.mkdir(parents=True)
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    with Root.open(folder) as root, store.blobs.writer() as blob:
        changes = [Changed(name) for name, _ in root.walk()]
        diff_id = pack(changes, root, blob.write, compression=compression, owners=RecordedOwners())
        descriptor = blob.describe(layer_type(compression))
    return Layer(diff_id, descriptor)


def put_image(
    store: Store,
    folder: Path,
    *,
    trees: Sequence[Mapping[str, bytes]] = TREES,
    compression: Compression = Compression.GZIP,
    platform: Platform = AMD64,
    layers: Sequence[Layer] | None = None,
    history: Sequence[History] | None = None,
    diff_ids: Sequence[DiffID] | None = None,
) -> Descriptor:
    """Put an image of these trees into the store; the rest says what is wrong with it. Return its descriptor."""
    if layers is None:
        layers = [put_layer(store, folder / str(n), tree, compression) for n, tree in enumerate(trees)]
    if history is None:
        made = [History(created_by=f"COPY {n} /") for n in range(len(layers))]
        history = [*made, History(created_by='CMD ["/app/run"]', empty_layer=True)]
    image = ImageConfig(
        platform=platform,
        created="2024-05-01T10:00:00Z",
        config=RunConfig(env=("PATH=/bin",), cmd=("/app/run",)),
        diff_ids=tuple(layer.diff_id for layer in layers) if diff_ids is None else tuple(diff_ids),
        history=tuple(history),
    )
    blob = store.blobs.put(image.to_bytes(), mediatypes.OCI_CONFIG)
    manifest = Manifest(mediatypes.OCI_MANIFEST, blob, tuple(layer.descriptor for layer in layers))
    return store.blobs.put(manifest.to_bytes(), mediatypes.OCI_MANIFEST)


def put_index(store: Store, images: Mapping[Platform, Descriptor]) -> Descriptor:
    """Put an index of these images into the store; return its descriptor."""
    entries = tuple(replace(image, platform=platform) for platform, image in images.items())
    return store.blobs.put(Index(mediatypes.OCI_INDEX, entries).to_bytes(), mediatypes.OCI_INDEX)


def write_oci_archive(blobs: Blobs, descriptor: Descriptor, names: Sequence[Reference], to: str | BinaryIO) -> None:
    """Write one image as a tar of a layout."""
    write_archive(blobs, [NamedImage(descriptor, tuple(names))], to)


def write_oci_layout(blobs: Blobs, descriptor: Descriptor, names: Sequence[Reference], folder: str) -> None:
    """Write one image into a layout."""
    write_layout(blobs, [NamedImage(descriptor, tuple(names))], folder)
