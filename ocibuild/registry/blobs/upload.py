"""One blob on its way there (distribution-spec, "Pushing blobs"): what the registry has got is not sent again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from ocibuild.errors import RegistryError, Unauthorized
from ocibuild.registry.http.messages import failure
from ocibuild.registry.http.retry import RETRYABLE
from ocibuild.registry.identity.challenge import repository_scope
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.oci import BlobReader, Descriptor
    from ocibuild.registry.http.messages import Answer
    from ocibuild.registry.session import RepositorySession

_PIECE = 64 << 10  # bytes read and sent at once: the time-out of a connection is for one of these
CHUNK: Final = 16 << 20
"""Bytes of one chunk, where the registry wants chunks and we were not told their size."""
STREAMED: Final = 32 << 20
"""Bytes from which on a blob goes as a stream into an upload session, which can be taken up again where it breaks."""
_PROGRESS = 1 << 20  # bytes after which a broken connection is not the same failure again
_NO_MONOLITHIC = frozenset({405, 411, 413, 501})
_LOST = frozenset({404, 416})  # the upload session is gone, or stands elsewhere


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a blob as a request's body; ``progress`` is told how many bytes of the blob are sent."""

    open_at: Callable[[int], BlobReader]
    start: int
    length: int
    progress: Callable[[int], None]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        blob = self.open_at(self.start)
        try:
            left = self.length
            while left and (piece := blob.read(min(left, _PIECE))):
                yield piece
                left -= len(piece)
                self.progress(self.start + self.length - left)
        finally:
            blob.close()


class Upload:
    """The transfer of one blob to one repository.

    ``open_at`` gives the blob from an offset on, and is called for each request that carries a part of it.
    """

    def __init__(
        self,
        session: RepositorySession,
        descriptor: Descriptor,
        open_at: Callable[[int], BlobReader],
        progress: Callable[[int], None],
    ) -> None:
        self._session = session.about(f"upload of {descriptor.digest}")
        self._descriptor = descriptor
        self._open_at = open_at
        self._progress = progress
        self._subject = self._session.subject
        self._retries = session.retries()
        self._location: str | None = None  # of the upload session, where there is one
        self._there = 0  # bytes that it has got
        self._is_finished = False  # we have asked to end one, whatever became of that
        self._reading: Exception | None = None  # what the blob could not be read for

    def run(self, chunk_size: int | None, mount_from: str | None = None) -> None:
        """Send the blob whole, or in chunks of ``chunk_size`` bytes; in chunks too where the registry refuses it whole.

        It is not sent where the registry takes it from the repository ``mount_from``. A transfer that breaks is taken
        up where the registry says it ended, else begun anew. Raises RegistryError where the last attempt broke too,
        and what reading the blob raises.
        """
        while True:
            try:
                answer = self._attempt(chunk_size, mount_from)
            except RegistryError as error:
                if error is self._reading or not error.retryable or not self._retries.wait():
                    raise
                if self._find_place():
                    return
                continue
            if answer.status in (201, 204):
                return
            if chunk_size is None and answer.status in _NO_MONOLITHIC:
                chunk_size = CHUNK
                self._location = None
            elif answer.status in RETRYABLE | _LOST and self._retries.wait(answer.headers.get("Retry-After")):
                if self._find_place():
                    return
            else:
                raise failure(answer, self._subject)

    def take_up(self, location: str, sent: Answer | None) -> None:
        """Go on with the upload session at ``location``, which was sent the whole blob; ``run()`` does the rest.

        ``sent`` is its answer, None where the connection broke. Raises RegistryError.
        """
        self._location = location
        if sent is not None and sent.status in (202, 204):
            self._location = self._session.target(sent)
            self._there = self._next(sent, self._descriptor.size)
        else:
            self._find_place()

    def take(self, source: str) -> bool:
        """Let the registry take the blob from its repository ``source``; False where it does not, and no byte was sent.

        Raises RegistryError.
        """
        answer = self._mount(self._session.url("blobs/uploads/"), source)
        if answer is not None and answer.status == 202:  # it waits for the bytes now
            self._session.ask("DELETE", self._session.target(answer))
        return answer is not None and answer.status == 201

    def _attempt(self, chunk_size: int | None, mount_from: str | None) -> Answer:
        """Send what is missing, and return the last answer."""
        if self._location is None:
            begun = self._begin(mount_from)
            if begun.status != 202:
                return begun
            least = begun.headers.get("OCI-Chunk-Min-Length", "")
            if chunk_size and least.isascii() and least.isdigit():
                chunk_size = max(chunk_size, int(least[:12]))
        size = self._descriptor.size
        if chunk_size is None and not self._there and size < STREAMED:
            return self._finish(self._slice(size))
        while self._there < size:
            answer = self._send_chunk(min(chunk_size or size, size - self._there), is_only=chunk_size is None)
            if answer.status not in (202, 204):
                return answer
        return self._finish(b"")

    def _begin(self, mount_from: str | None) -> Answer:
        """Open an upload session, unless the blob is there at once."""
        self._there = 0
        url = self._session.url("blobs/uploads/")
        answer = self._mount(url, mount_from) if mount_from is not None else None
        if answer is None:
            answer = self._session.ask("POST", url, body=b"", again=False)
        if answer.status == 202:
            self._location = self._session.target(answer)
        elif answer.status not in RETRYABLE and not (answer.status == 201 and mount_from):
            raise failure(answer, self._subject)
        return answer

    def _mount(self, url: str, source: str) -> Answer | None:
        """Ask for the blob of another repository; None where that may be why we are refused."""
        query = urlencode({"mount": self._descriptor.digest, "from": source})
        scopes = (repository_scope(source, push=False),)
        try:
            answer = self._session.ask("POST", f"{url}?{query}", body=b"", again=False, further_scopes=scopes)
        except Unauthorized:  # the token server gives no token for both
            return None
        return None if answer.status in (400, 401, 403, 404, 405) else answer

    def _send_chunk(self, length: int, *, is_only: bool) -> Answer:
        end = self._there + length
        # as docker does, a blob that comes as one stream from its beginning has no range
        headers = {} if is_only and not self._there else {"Content-Range": f"{self._there}-{end - 1}"}
        answer = self._send("PATCH", self._slice(length), headers)
        if answer.status in (202, 204):
            self._location = self._session.target(answer)
            self._there = self._next(answer, end)
        return answer

    def _next(self, answer: Answer, expected: int) -> int:
        """Return where the next chunk begins: after ``Range: 0-LAST``, else where we think."""
        received = _received(answer)
        after = expected if received is None else received
        if not self._there < after <= expected:
            raise RegistryError(f"{self._subject}: the registry counts {after} bytes where {expected} were sent")
        return after

    def _find_place(self) -> bool:
        """Ask the upload session how far it is, to begin a new one where it is lost; True where the blob is there."""
        if self._location is None:
            return False
        before, location, self._location = self._there, self._location, None
        try:
            answer = self._session.ask("GET", location)
            there = _received(answer) or 0
            # registries say 0-0 of no byte and of one: a new session tells them apart
            if answer.status not in (200, 202, 204) or not 1 < there <= self._descriptor.size:
                return self._is_finished and self._is_there()
            self._location = self._session.target(answer) if "Location" in answer.headers else location
        except RegistryError:
            return False
        self._there = there
        if there - before > _PROGRESS:
            self._retries.renew()
        return False

    def _is_there(self) -> bool:
        return self._session.ask("HEAD", self._session.url(f"blobs/{self._descriptor.digest}")).status == 200

    def _finish(self, body: Slice | bytes) -> Answer:
        self._is_finished = True
        joint = "&" if urlsplit(self._location or "").query else "?"
        return self._send("PUT", body, {}, f"{joint}digest={quote(self._descriptor.digest)}")

    def _send(self, method: str, body: Slice | bytes, headers: dict[str, str], query: str = "") -> Answer:
        typed = {"Content-Type": "application/octet-stream", **headers}
        return self._session.ask(method, f"{self._location}{query}", headers=typed, body=body, again=False)

    def _slice(self, length: int) -> Slice | bytes:
        # A body of no length would be sent with chunked transfer coding.
        return Slice(self._open, self._there, length, self._progress) if length else b""

    def _open(self, offset: int) -> BlobReader:
        return _Watched(self._open_at(offset), self)

    def note_reading(self, error: Exception) -> None:
        """Remember that it was not the registry that failed."""
        self._reading = error


class _Watched:
    """A blob whose reader tells the upload of its errors."""

    def __init__(self, blob: BlobReader, upload: Upload) -> None:
        self._blob = blob
        self._upload = upload

    def read(self, size: int, /) -> bytes:
        try:
            return self._blob.read(size)
        except Exception as error:
            self._upload.note_reading(error)
            raise

    def close(self) -> None:
        self._blob.close()


def _received(answer: Answer) -> int | None:
    """Return how many bytes ``Range: 0-LAST`` stands for; None where the registry does not say."""
    found = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,19})", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else None
