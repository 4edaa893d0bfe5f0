"""An image made of a tar of files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive import opened_file
from ocibuild.dockerfile import changed_config
from ocibuild.errors import naming
from ocibuild.graph import format_time
from ocibuild.layer.apply import verify
from ocibuild.layer.compression import compression_threads
from ocibuild.layer.packing import packing
from ocibuild.layer.plain import plain_bytes
from ocibuild.oci import Compression, Descriptor, History, ImageConfig, Platform, layer_type
from ocibuild.output import write_image
from ocibuild.rootfs.stored import unpack_stored
from ocibuild.store import Layer
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.layer.chunks import Chunker
    from ocibuild.layer.owners import Ownership
    from ocibuild.layer.reader import Readable
    from ocibuild.oci import Limits
    from ocibuild.store import Store

_PIECE = 1 << 20
_COMPRESSION = Compression.GZIP


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What becomes of a tar at ``path``, or of standard input for ``-``.

    ``changes`` are instructions that change the config of the image; ``message`` is the comment in its history.
    """

    path: str
    platform: Platform
    changes: tuple[str, ...] = ()
    message: str = ""


def import_image(
    store: Store,
    request: ImportRequest,
    *,
    ownership: Ownership | None,
    limits: Limits,
    progress: Callable[[int], None],
) -> Descriptor:
    """Make an image of one layer, the files of a tar, compressed or not, as they are; return its manifest.

    The layer is unpacked, or checked where ``ownership`` is None, before there is an image. ``progress`` hears how many
    further plain bytes were read. Raises UsageError for ``changes`` that are none, OcibuildError where the tar cannot
    be read, InvalidLayer where it is none, or hostile.
    """
    subject = "standard input" if request.path == "-" else request.path
    created = format_time(time.time_ns())
    bare = ImageConfig(request.platform, created, history=(History(created, comment=_comment(request, subject)),))
    config = changed_config(bare, request.changes)
    with opened_file(request.path, store.ingest) as file, naming(subject):
        layer = _layer(store, file, progress)
        _examine(store, layer, ownership, limits)
    image = ImageConfig(request.platform, created, config=config, diff_ids=(layer.diff_id,), history=bare.history)
    return write_image(store.blobs, image, [layer.descriptor], {})


def _comment(request: ImportRequest, subject: str) -> str:
    return request.message or f"Imported from {'-' if request.path == '-' else subject}"


def _layer(store: Store, file: BinaryIO, progress: Callable[[int], None]) -> Layer:
    threads = compression_threads()
    with (
        plain_bytes(file) as plain,
        store.blobs.writer() as blob,
        packing(blob.write, compression=_COMPRESSION, threads=threads, progress=progress) as packed,
    ):
        _pour(plain, packed.chunks)
    return Layer(packed.diff_id, blob.describe(layer_type(_COMPRESSION)))


def _pour(plain: Readable, chunks: Chunker) -> None:
    while piece := plain.read(_PIECE):
        chunks.write(piece)


def _examine(store: Store, layer: Layer, ownership: Ownership | None, limits: Limits) -> None:
    if ownership is not None:
        unpack_stored(store, [layer], ownership=ownership, limits=lambda: limits)
        return
    with store.blobs.open(layer.descriptor.digest) as blob:
        verify(blob, _COMPRESSION, expect=layer.diff_id, limits=limits, name=str(layer.descriptor.digest))
