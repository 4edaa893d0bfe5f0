"""An image of an archive that ``docker save``, podman or skopeo wrote, to be copied. Everything in it is a stranger's.

Such an archive has no manifest of the image: one is made of its config, which is kept as it is, and its layers, which
are kept as they are, plain or compressed.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from ocibuild.archive.dockerarchive import find_image, parse_images
from ocibuild.archive.layout import read_file
from ocibuild.archive.sound import Hashed
from ocibuild.archive.tarred import TarredFiles
from ocibuild.errors import DigestMismatch, InvalidDocument, NotFound, OcibuildError, naming
from ocibuild.layer.compression import decompress
from ocibuild.oci import Compression, Descriptor, DiffID, Digest, ImageConfig, Manifest, mediatypes
from ocibuild.oci.limits import CONFIG_LIMIT, MANIFEST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.archive.dockerarchive import ArchivedImage
    from ocibuild.oci import Reference

_PIECE = 1 << 20
_MAGIC = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}


class DockerArchiveSource:
    """See ``ImageSource``."""

    def __init__(self, files: TarredFiles, subject: str, image: ArchivedImage) -> None:
        """Make the manifest; each compressed layer is read once for that, as no digest of it is known."""
        self._files = files
        self._subject = subject
        with naming(f"{image.config!r:.160}"):
            data = read_file(files, image.config, limit=CONFIG_LIMIT)
        config = Descriptor(mediatypes.DOCKER_CONFIG, Digest.of(data), len(data))
        diff_ids = ImageConfig.from_bytes(data).diff_ids
        if len(diff_ids) != len(image.layers):
            raise InvalidDocument(f"{config.digest}: {len(diff_ids)} diff IDs for {len(image.layers)} layers")
        pairs = tuple(zip(image.layers, diff_ids, strict=True))
        known = {pair: self._layer(*pair) for pair in dict.fromkeys(pairs)}  # a layer may be there again and again
        layers = tuple(known[pair] for pair in pairs)
        self._manifest = Manifest(mediatypes.DOCKER_MANIFEST, config, layers).to_bytes()
        self._names = dict(zip((layer.digest for layer in layers), image.layers, strict=True))
        self._names[config.digest] = image.config

    @property
    def subject(self) -> str:
        """See ``ImageSource``."""
        return self._subject

    def root(self) -> Descriptor:
        """See ``ImageSource``."""
        return Descriptor(mediatypes.DOCKER_MANIFEST, Digest.of(self._manifest), len(self._manifest))

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        if descriptor.digest != self.root().digest:
            raise NotFound(f"{self._subject}: no manifest {descriptor.digest}")
        return self._manifest

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """See ``ImageSource``."""
        if descriptor.digest not in self._names:
            raise NotFound(f"{self._subject}: no blob {descriptor.digest}")
        file = self._files.open_file(self._names[descriptor.digest])
        file.seek(offset)
        return file

    def _layer(self, name: str, diff_id: DiffID) -> Descriptor:
        """Return the descriptor of a layer. A plain one is known by its diff ID, which is checked when it is copied."""
        size = self._files.size_of(name)
        if size is None:
            raise InvalidDocument(f"the layer {name!r:.160} is not there")
        with self._files.open_file(name) as file:
            start = file.read(4)
        compression = next((one for magic, one in _MAGIC.items() if start.startswith(magic)), Compression.NONE)
        digest = diff_id if compression is Compression.NONE else self._digest(name, compression, diff_id)
        return Descriptor(mediatypes.docker_layer_type(compression), digest, size)

    def _digest(self, name: str, compression: Compression, diff_id: DiffID) -> Digest:
        """Return the digest of a compressed layer, whose plain bytes must have the diff ID."""
        plain = diff_id.hasher()
        with self._files.open_file(name) as file:
            packed = Hashed(file, Digest.of(b""))
            for piece in decompress(cast("BinaryIO", packed), compression):
                plain.update(piece)
            while packed.read(_PIECE):  # what follows the end counts for the digest
                pass
        if plain.hexdigest() != diff_id.encoded:
            actual = f"{diff_id.algorithm}:{plain.hexdigest()}"
            raise DigestMismatch(f"{name!r:.160}: its tar has the digest {actual}, and the config says {diff_id}")
        return packed.digest()


@contextmanager
def docker_archive_source(
    path: str, subject: str, *, reference: Reference | None = None, number: int | None = None
) -> Iterator[DockerArchiveSource]:
    """Open a docker archive to copy from: the image ``reference``, that with ``number``, or the only one.

    Raises NotFound, InvalidDocument, InvalidLayer, DigestMismatch, and OcibuildError where it cannot be read.
    """
    with ExitStack() as cleanup:
        with naming(subject):
            files = cleanup.enter_context(open_files(path))
            if files.size_of("manifest.json") is None:
                raise InvalidDocument("it has no manifest.json", remedy="for an archive of a layout use oci-archive:")
            images = parse_images(read_file(files, "manifest.json", limit=MANIFEST_LIMIT))
            source = DockerArchiveSource(files, subject, find_image(images, reference, number))
        yield source


def open_files(path: str) -> TarredFiles:
    """Open a tar to read any of its files; a link stands for what it leads to."""
    try:
        return TarredFiles(path, lambda _: True, links=True)
    except OSError as error:
        raise OcibuildError(os.strerror(error.errno or errno.EIO), remedy="check the path") from error
