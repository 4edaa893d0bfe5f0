"""Images copied out of the store and into it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.errors import DigestMismatch, NotInStore, naming
from ocibuild.oci import Descriptor, ImageConfig, Index, Manifest, mediatypes, parse_manifest
from ocibuild.oci.limits import MANIFEST_LIMIT
from ocibuild.oci.verified import read_verified
from ocibuild.store.images import describe_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Reference
    from ocibuild.oci.image_io import BlobReader
    from ocibuild.store.store import Store

_PARALLEL = 4
_PIECE = 1 << 20


class StoreSource:
    """The image or index ``root`` of the store, see ``ImageSource``; what is missing raises NotInStore."""

    def __init__(self, store: Store, root: Descriptor, subject: str) -> None:
        self.subject = subject
        self._store = store
        self._root = root

    @classmethod
    def named(cls, store: Store, reference: Reference) -> StoreSource:
        """Return what a tag names, an index where it is one, or what has a digest; raises NotInStore."""
        subject = f"store:{reference.familiar()}"
        digest = reference.digest
        root = store.tags.get(reference) if digest is None else describe_manifest(store.blobs, digest)
        if root is None:
            raise NotInStore(f"{subject}: no such image in the store", remedy="build it, or pull it")
        return cls(store, root, subject)

    def root(self) -> Descriptor:
        """See ``ImageSource``."""
        return self._root

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See ``ImageSource``."""
        with self.open_blob(descriptor) as blob:
            return read_verified(blob, descriptor, limit=MANIFEST_LIMIT)

    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """See ``ImageSource``."""
        return self._store.blobs.open_at(descriptor.digest, offset)


class StoreDestination:
    """Names of the store, or none, see ``ImageDestination``; blobs that were complete stay after an error."""

    def __init__(self, store: Store, *references: Reference) -> None:
        self._store = store
        self._references = references

    @property
    def subject(self) -> str:
        """See ``ImageDestination``."""
        return f"store:{','.join(reference.familiar() for reference in self._references)}"

    @property
    def parallel(self) -> int:
        """See ``ImageDestination``."""
        return _PARALLEL

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See ``ImageDestination``."""
        return self._store.blobs.has(descriptor.digest)

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        """See ``ImageDestination``."""
        with closing(open_at(0)) as reader, self._store.blobs.writer(descriptor) as blob:
            progress(0)
            while piece := reader.read(_PIECE):
                blob.write(piece)
                progress(blob.size)

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``; raises InvalidDocument where its config is none of an image, but says so."""
        self._check_config(parse_manifest(data, descriptor.media_type))
        if not self.has_blob(descriptor):
            with self._store.blobs.writer(descriptor) as blob:
                blob.write(data)

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        """See ``ImageDestination``; raises DigestMismatch where a name has another digest."""
        if any(reference.digest not in (None, descriptor.digest) for reference in self._references):
            raise DigestMismatch(f"{self.subject}: what is copied has the digest {descriptor.digest}")
        self.put_manifest(descriptor, data)
        tagged = [reference.with_tag(reference.tag) for reference in self._references if reference.tag is not None]
        self._store.tags.give(descriptor, tagged)

    def _check_config(self, document: Manifest | Index) -> None:
        """Hold a config against its schema: whoever reads it in the store later takes it for sound."""
        if isinstance(document, Manifest) and document.config.media_type in mediatypes.CONFIGS:
            with naming(f"{self.subject}: {document.config.digest}"):
                ImageConfig.from_bytes(self._store.blobs.read(document.config.digest))
