"""One blob on its way there (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from ocibuild.errors import RegistryError
from ocibuild.registry.messages import failure
from ocibuild.registry.retry import RETRYABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from ocibuild.oci import Descriptor
    from ocibuild.registry.messages import Answer
    from ocibuild.registry.session import RepositorySession

_PIECE = 256 << 10  # bytes read and sent at once
CHUNK: Final = 16 << 20
"""Bytes of one chunk, where the registry wants chunks and we were not told their size."""
_NO_MONOLITHIC = frozenset({405, 411, 413, 501})
_LOST = frozenset({404, 416})  # the upload session is gone, or stands elsewhere


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a blob as a request's body; ``progress`` is told how many bytes of the blob are sent."""

    open_blob: Callable[[], BinaryIO]
    start: int
    length: int
    progress: Callable[[int], None]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        with self.open_blob() as blob:
            blob.seek(self.start)
            left = self.length
            while left and (piece := blob.read(min(left, _PIECE))):
                yield piece
                left -= len(piece)
                self.progress(self.start + self.length - left)


class Upload:
    """The transfer of one blob to one repository; every attempt opens the blob again."""

    def __init__(
        self,
        session: RepositorySession,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        progress: Callable[[int], None],
    ) -> None:
        self._session = session
        self._descriptor = descriptor
        self._open_blob = open_blob
        self._progress = progress
        self._subject = f"{session.subject}: upload of {descriptor.digest}"

    def run(self, chunk_size: int | None) -> None:
        """Send the blob whole, or in chunks of ``chunk_size`` bytes; in chunks too where the registry refuses it whole.

        An attempt that breaks is repeated in a new upload session. Raises RegistryError where the last one broke too.
        """
        retries = self._session.retries()
        while True:
            answer: Answer | None = None
            try:
                answer = self._attempt(chunk_size)
            except RegistryError as error:
                if not error.retryable or not retries.wait():
                    raise
                continue
            if answer.status in (201, 204):
                return
            if chunk_size is None and answer.status in _NO_MONOLITHIC:
                chunk_size = CHUNK
            elif answer.status not in RETRYABLE | _LOST or not retries.wait(answer.headers.get("Retry-After")):
                raise failure(answer, self._subject)

    def _attempt(self, chunk_size: int | None) -> Answer:
        """Open an upload session, send everything, and return the last answer."""
        begun = self._session.ask("POST", self._session.url("blobs/uploads/"), body=b"", again=False)
        if begun.status != 202 and begun.status not in RETRYABLE:
            raise failure(begun, self._subject)
        if begun.status != 202:
            return begun
        location = self._session.target(begun)
        if chunk_size is None:
            return self._finish(location, self._slice(0, self._descriptor.size))
        least = begun.headers.get("OCI-Chunk-Min-Length", "")
        if least.isascii() and least.isdigit():
            chunk_size = max(chunk_size, int(least[:12]))
        return self._chunked(location, chunk_size)

    def _chunked(self, location: str, chunk_size: int) -> Answer:
        start, size = 0, self._descriptor.size
        while start < size:
            chunk = self._slice(start, min(chunk_size, size - start))
            headers = {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
            answer = self._send("PATCH", location, chunk, headers)
            if answer.status not in (202, 204):
                return answer
            location = self._session.target(answer)
            start = self._next(answer, start, start + len(chunk))
        return self._finish(location, b"")

    def _next(self, answer: Answer, start: int, expected: int) -> int:
        """Return where the next chunk begins: after ``Range: 0-LAST``, else where we think."""
        found = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,19})", answer.headers.get("Range", ""))
        after = int(found[1]) + 1 if found else expected
        if not start < after <= expected:
            raise RegistryError(f"{self._subject}: the registry counts {after} bytes where {expected} were sent")
        return after

    def _finish(self, location: str, body: Slice | bytes) -> Answer:
        joint = "&" if urlsplit(location).query else "?"
        return self._send("PUT", f"{location}{joint}digest={quote(self._descriptor.digest)}", body, {})

    def _send(self, method: str, url: str, body: Slice | bytes, headers: dict[str, str]) -> Answer:
        typed = {"Content-Type": "application/octet-stream", **headers}
        return self._session.ask(method, url, headers=typed, body=body, again=False)

    def _slice(self, start: int, length: int) -> Slice | bytes:
        # A body of no length would be sent with chunked transfer coding.
        return Slice(self._open_blob, start, length, self._progress) if length else b""
