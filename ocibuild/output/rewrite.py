"""An image written again as an output asks for it: layers compressed otherwise, times bounded, docker's media types."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import UsageError
from ocibuild.layer.compression import compression_threads, decompress
from ocibuild.layer.estargz import ANNOTATIONS, TABLE_DIGEST, is_estargz, pack_estargz
from ocibuild.layer.packing import packing
from ocibuild.layer.retime import entries_of, retime
from ocibuild.oci import Compression, compression_of, layer_type
from ocibuild.output.encoding import Encoding
from ocibuild.output.image import write_image
from ocibuild.store import Layer, load_image
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.oci import Descriptor, Platform
    from ocibuild.store import Blobs

_NANOSECONDS = 10**9
_AS_IT_IS = Encoding()


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What an output asks for, and what that means for one build.

    ``own`` is how many layers, the topmost, were built; ``epoch`` the SOURCE_DATE_EPOCH of the build in seconds.
    """

    encoding: Encoding
    annotations: Mapping[str, str]
    own: int
    epoch: int | None = None

    @property
    def changes_anything(self) -> bool:
        """Whether an image is another after it."""
        return self.encoding != _AS_IT_IS or bool(self.annotations)


def rewrite_image(blobs: Blobs, descriptor: Descriptor, platform: Platform, wanted: Rewriting) -> Descriptor:
    """Return the manifest of the image as it is wanted, in the store with all that is new of it.

    A layer keeps its blob unless it must be another; the image ID is another only where times were bounded, or
    layers made eStargz, which have entries of their own. The same
    image gives the same bytes. Raises UsageError for what cannot be had together, NotInStore.
    """
    encoding = wanted.encoding
    if encoding.rewrites_times and wanted.epoch is None:
        raise UsageError("rewrite-timestamp=true needs a time", remedy="give --build-arg SOURCE_DATE_EPOCH=SECONDS")
    image = load_image(blobs, descriptor.digest, platform)
    annotations = {**image.manifest.annotations, **wanted.annotations}
    if annotations and not encoding.is_oci:
        raise UsageError("docker's manifests have no annotations", remedy="leave out oci-mediatypes=false")
    first_own = len(image.layers) - wanted.own
    layers = [_rewritten(blobs, layer, wanted, is_own=number >= first_own) for number, layer in enumerate(image.layers)]
    config = replace(image.config, diff_ids=tuple(layer.diff_id for layer in layers))
    return write_image(blobs, config, [layer.descriptor for layer in layers], annotations, is_oci=encoding.is_oci)


def _rewritten(blobs: Blobs, layer: Layer, wanted: Rewriting, *, is_own: bool) -> Layer:
    encoding = wanted.encoding
    now = compression_of(layer.descriptor.media_type)
    applies = is_own or encoding.force
    compression = (encoding.compression if applies else None) or now
    level = encoding.level if applies else None
    latest = wanted.epoch * _NANOSECONDS if is_own and encoding.rewrites_times and wanted.epoch is not None else None
    if applies and encoding.is_estargz:
        is_one = level is None and latest is None and _is_estargz(blobs, layer)
        return layer if is_one else _as_estargz(blobs, layer, level, latest)
    if compression is now and level is None and latest is None:
        return layer
    threads = compression_threads()
    with (
        blobs.open(layer.descriptor.digest) as blob,
        blobs.writer() as new,
        packing(new.write, compression=compression, level=level, threads=threads) as packed,
    ):
        plain = decompress(blob, now)
        if latest is None:
            for piece in plain:
                packed.chunks.write(piece)
        else:
            retime(plain, packed.chunks.write, latest)
    described = new.describe(layer_type(compression))
    # what annotations say of a layer is not true of another tar, nor what they say of its members
    kept = {} if latest is not None else layer.descriptor.annotations
    annotations = {name: value for name, value in kept.items() if name not in ANNOTATIONS}
    return Layer(packed.diff_id, replace(described, annotations=annotations))


def _is_estargz(blobs: Blobs, layer: Layer) -> bool:
    """Tell whether a layer is one, and says so: zstd has an annotation of that name, too."""
    described = layer.descriptor
    if TABLE_DIGEST not in described.annotations or compression_of(described.media_type) is not Compression.GZIP:
        return False
    with blobs.open(described.digest) as blob:
        return is_estargz(blob)


def _as_estargz(blobs: Blobs, layer: Layer, level: int | None, latest: int | None) -> Layer:
    with blobs.open(layer.descriptor.digest) as blob, blobs.writer() as new:
        plain = decompress(blob, compression_of(layer.descriptor.media_type))
        packed = pack_estargz(entries_of(plain, latest), new.write, level=level, threads=compression_threads())
    described = new.describe(layer_type(Compression.GZIP))
    return Layer(packed.diff_id, replace(described, annotations=packed.annotations))
