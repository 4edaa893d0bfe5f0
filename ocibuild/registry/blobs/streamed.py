"""A blob sent while it is being made, before anybody knows its size and digest (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ocibuild.errors import RegistryError
from ocibuild.oci import Descriptor
from ocibuild.registry.blobs.upload import Upload
from ocibuild.registry.http.messages import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.oci import BlobReader, Digest
    from ocibuild.registry.session import RepositorySession

_PIECE = 256 << 10  # bytes read and sent at once
_WORTH_ASKING = 1 << 20  # bytes still to be sent, for which it is asked whether they are there


class GrowingBlob(Protocol):
    """A blob that another thread makes."""

    size: int
    """How many bytes there are by now."""

    @property
    def digest(self) -> Digest:
        """The digest of the bytes that there are by now."""

    @property
    def is_complete(self) -> bool:
        """Whether it has all its bytes."""

    def follow(self, offset: int = 0) -> BlobReader:
        """Return a reader from ``offset`` bytes on, which waits for the rest; raises IncompleteBlob if that fails."""


class _IsThere(Exception):
    """The registry turns out to have the blob."""


class _Arriving:
    """A growing blob as a request's body, without a length; ``is_there`` is asked once when the blob is complete."""

    def __init__(self, blob: GrowingBlob, is_there: Callable[[], bool]) -> None:
        self._blob = blob
        self._is_there = is_there

    def __iter__(self) -> Iterator[bytes]:
        reader, sent, asked = self._blob.follow(), 0, False
        try:
            while piece := reader.read(_PIECE):
                yield piece
                sent += len(piece)
                if not asked and self._blob.is_complete:
                    asked = True
                    if self._blob.size - sent >= _WORTH_ASKING and self._is_there():
                        raise _IsThere
        finally:
            reader.close()


def stream_blob(session: RepositorySession, blob: GrowingBlob) -> Digest:
    """Send a blob as it comes and return its digest, when the registry has it.

    What the stream is worth that breaks, ``Upload`` makes use of. Raises RegistryError, and IncompleteBlob where the
    blob is not completed.
    """

    def is_there() -> bool:
        return session.ask("HEAD", session.url(f"blobs/{blob.digest}")).status == 200

    begun = session.ask("POST", session.url("blobs/uploads/"), body=b"", again=False)
    if begun.status != 202:
        raise failure(begun, session.subject)
    location = session.target(begun)
    headers = {"Content-Type": "application/octet-stream"}
    try:
        sent = session.ask("PATCH", location, headers=headers, body=_Arriving(blob, is_there), again=False)
    except _IsThere:
        session.ask("DELETE", location)
        return blob.digest
    except RegistryError as error:
        if not error.retryable:
            raise
        sent = None
    _wait_for(blob)
    descriptor = Descriptor("application/octet-stream", blob.digest, blob.size)
    upload = Upload(session, descriptor, blob.follow, lambda _done: None)
    upload.take_up(location, sent)
    upload.run(None)
    return descriptor.digest


def _wait_for(blob: GrowingBlob) -> None:
    """Wait until the blob is complete, however much of it was sent; raises IncompleteBlob."""
    reader = blob.follow(blob.size)
    try:
        while reader.read(_PIECE):
            pass
    finally:
        reader.close()
