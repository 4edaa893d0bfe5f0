"""Blobs by digest: written once, checked while they are written, never seen half done."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from ocibuild.errors import DigestMismatch, IncompleteBlob, InvalidDigest, NotInStore
from ocibuild.oci import Descriptor, Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCUMENT_LIMIT = 16 << 20
_PIECE = 1 << 20


class Blobs:
    """The blobs of a store: ``blobs/ALGORITHM/HEX``, and ``ingest/`` for those still being written.

    A file in ``ingest`` is held with flock(2) by its writer; one that nobody holds was left by a killed process.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._ingest = os.path.join(root, "ingest")

    def path(self, digest: Digest) -> str:
        """Return where the blob is, or would be."""
        return os.path.join(self._root, "blobs", digest.algorithm, digest.encoded)

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is here."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes; raise NotInStore where it is not here."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def open(self, digest: Digest) -> BinaryIO:
        """Open the blob for reading; raise NotInStore where it is not here. The caller closes it."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def open_at(self, digest: Digest, offset: int) -> BinaryIO:
        """Open the blob for reading from ``offset`` bytes on; see ``open``."""
        blob = self.open(digest)
        blob.seek(offset)
        return blob

    def read(self, digest: Digest, *, limit: int = _DOCUMENT_LIMIT) -> bytes:
        """Return the bytes of a small blob, verified; raise NotInStore or DigestMismatch."""
        with self.open(digest) as blob:
            size = os.fstat(blob.fileno()).st_size
            data = blob.read(min(size, limit))  # asking for more would take the memory for it
        if size > limit:
            raise DigestMismatch(f"{digest}: more than {limit} bytes, too large for a document")
        hasher = digest.hasher()
        hasher.update(data)
        if hasher.hexdigest() != digest.encoded:
            raise DigestMismatch(
                f"{digest}: the blob in the store is damaged", remedy=f"remove {self.path(digest)} and pull again"
            )
        return data

    def put(self, data: bytes, media_type: str) -> Descriptor:
        """Keep ``data`` and return its descriptor; idempotent."""
        descriptor = Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))
        if not self.has(descriptor.digest):
            with self.writer(descriptor) as blob:
                blob.write(data)
        return descriptor

    def writer(self, expect: Descriptor | None = None) -> BlobWriter:
        """Begin a new blob; with ``expect``, one of that digest and size and no other."""
        return BlobWriter(self._root, self._ingest, expect)

    def remove(self, digest: Digest) -> None:
        """Remove a blob; nothing happens where it is not here."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(digest))

    def __iter__(self) -> Iterator[Digest]:
        """Yield the digest of every blob, in no order; other files that lie there are passed over."""
        blobs = os.path.join(self._root, "blobs")
        for algorithm in os.listdir(blobs):
            with suppress(NotADirectoryError):
                for encoded in os.listdir(os.path.join(blobs, algorithm)):
                    with suppress(InvalidDigest):
                        yield Digest.parse(f"{algorithm}:{encoded}")

    def recover(self) -> None:
        """Remove what killed writers left."""
        for name in os.listdir(self._ingest):
            path = os.path.join(self._ingest, name)
            with suppress(FileNotFoundError, BlockingIOError), open(path, "rb") as leftover:
                fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


class BlobWriter:
    """A blob being written; leaving the block checks it, makes it durable and gives it its name, all or nothing.

    Leaving raises DigestMismatch where the bytes are not those expected; after an exception nothing is kept.
    One thread writes; others may ``follow()``.
    """

    def __init__(self, root: str, ingest: str, expect: Descriptor | None) -> None:
        self._root = root
        self._expect = expect
        self._hasher = (expect.digest if expect else Digest.of(b"")).hasher()
        self._ingest = ingest
        self._path = ""
        self._grown = threading.Condition()
        self._ended: bool | None = None  # False where it failed
        self._fd = -1
        self.size = 0

    def __enter__(self) -> Self:
        while not self._begin():
            os.close(self._fd)
        return self

    def _begin(self) -> bool:
        """Make and lock the file; False where ``recover`` took it for a leftover just before it was locked."""
        self._path = os.path.join(self._ingest, os.urandom(8).hex())
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return os.fstat(self._fd).st_nlink > 0

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append ``chunk``; raise DigestMismatch as soon as there is more than was expected."""
        size = self.size + len(chunk)
        if self._expect and size > self._expect.size:
            raise DigestMismatch(f"{self._expect.digest}: more than the {self._expect.size} bytes it should have")
        view = memoryview(chunk)
        self._hasher.update(view)
        self._put(self.size, view)
        self._grow(size)

    def write_ahead(self, offset: int, chunk: bytes) -> None:
        """Write what comes later, from any thread; it counts once ``adopt()`` takes it. Raises as ``write()`` does."""
        if self._expect and offset + len(chunk) > self._expect.size:
            raise DigestMismatch(f"{self._expect.digest}: more than the {self._expect.size} bytes it should have")
        self._put(offset, memoryview(chunk))

    def adopt(self, end: int) -> None:
        """Append what was written ahead, up to the offset ``end``."""
        while self.size < end:
            chunk = os.pread(self._fd, min(end - self.size, _PIECE), self.size)
            self._hasher.update(chunk)
            self._grow(self.size + len(chunk))

    def _put(self, offset: int, view: memoryview) -> None:
        while view:
            written = os.pwrite(self._fd, view, offset)
            view = view[written:]
            offset += written

    def _grow(self, size: int) -> None:
        with self._grown:
            self.size = size
            self._grown.notify_all()

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest.parse(f"{self._hasher.name}:{self._hasher.hexdigest()}")

    def describe(self, media_type: str) -> Descriptor:
        """Return the descriptor of what was written so far."""
        return Descriptor(media_type=media_type, digest=self.digest, size=self.size)

    @property
    def is_complete(self) -> bool:
        """Whether all is written, checked and kept."""
        return self._ended is True

    def follow(self, offset: int = 0) -> Follower:
        """Return a reader of what is written from ``offset`` bytes on, while it is written or after.

        Raises IncompleteBlob where the writing has failed already.
        """
        return Follower(self, offset)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        complete = False
        try:
            if kind is None:
                self._check()
                self._commit()
                complete = True
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            self._end(complete=complete)

    def _check(self) -> None:
        if self._expect is None:
            return
        if self.size != self._expect.size:
            raise DigestMismatch(f"{self._expect.digest}: {self.size} bytes where {self._expect.size} should be")
        if self.digest != self._expect.digest:
            raise DigestMismatch(f"{self._expect.digest}: the content has the digest {self.digest}")

    def _commit(self) -> None:
        os.fsync(self._fd)
        path = self._final_path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(self._path, path)

    def _final_path(self) -> str:
        digest = self.digest
        return os.path.join(self._root, "blobs", digest.algorithm, digest.encoded)

    def _end(self, *, complete: bool) -> None:
        with self._grown:
            os.close(self._fd)
            self._fd = -1
            self._ended = complete
            self._grown.notify_all()

    def _wait_beyond(self, offset: int) -> int:
        """Wait until there is more than ``offset`` bytes or no more will come; return how many there are."""
        with self._grown:
            self._grown.wait_for(lambda: self.size > offset or self._ended is not None)
            if self._ended is False:
                raise IncompleteBlob("the blob was not completed")
            return self.size

    def _reopen(self) -> int:
        with self._grown:
            if self._ended is False:
                raise IncompleteBlob("the blob was not completed")
            path = self._final_path() if self._ended else f"/proc/self/fd/{self._fd}"
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class Follower:
    """A reader that waits for a blob's writer: its end is the end of the blob, checked and kept.

    Raises IncompleteBlob where the blob turns out not to be what was expected, or does not come.
    """

    def __init__(self, writer: BlobWriter, offset: int) -> None:
        self._writer = writer
        self._offset = offset
        self._fd = writer._reopen()  # noqa: SLF001  (the two are one idea)

    def read(self, size: int = 1 << 20) -> bytes:
        """Return up to ``size`` bytes, at least one before the end."""
        self._writer._wait_beyond(self._offset)  # noqa: SLF001
        chunk = os.pread(self._fd, size, self._offset)
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        """Stop reading; safe to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _missing(digest: Digest) -> NotInStore:
    return NotInStore(f"{digest}: no such blob in the store", remedy="pull the image again")
