"""One blob on its way here: what has arrived stays, whatever happens to the connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch, RegistryError
from ocibuild.registry.http.messages import Answer, failure
from ocibuild.registry.http.retry import RETRYABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from ocibuild.oci import Descriptor
    from ocibuild.registry.http.connections import Stream
    from ocibuild.registry.http.retry import Retries

_PIECE = 1 << 20  # bytes read at once
_PROGRESS = 1 << 20  # bytes after which a broken connection is not the same failure again
_ERROR_LIMIT = 64 << 10


class Download:
    """The transfer of one blob or of a part of it, in order, from one server or from several, each byte once.

    ``at`` is the offset of the next byte, ``end`` that after the last one, if it is not the blob's: then a server that
    does not know ranges is refused. Nothing is checked here but the size: who reads it knows the digest.
    """

    def __init__(self, subject: str, descriptor: Descriptor, at: int = 0, end: int | None = None) -> None:
        self.at = at
        self._end = descriptor.size if end is None else end
        self._is_part = end is not None
        self._subject = subject
        self._descriptor = descriptor

    def pieces(self, open_at: Callable[[Mapping[str, str]], Stream], retries: Retries | None) -> Iterator[bytes]:
        """Yield what is missing, in pieces of at most a mebibyte; ``open_at`` sends the request with some headers more.

        A transfer that breaks is taken up where it ended (RFC 9110, section 14) while ``retries`` last; None is a
        single attempt. Raises NotFound, Unauthorized, RegistryError; DigestMismatch where the size is another.
        """
        while True:
            before = self.at
            try:
                asked = yield from self._attempt(open_at)
            except RegistryError as error:
                if 0 < self.at == self._end:
                    return  # it broke behind the last byte
                if retries and self.at - before > _PROGRESS:
                    retries.renew()
                if not (error.retryable and retries and retries.wait()):
                    raise
                continue
            if asked is None:
                return
            if not (retries and retries.wait(asked.headers.get("Retry-After"))):
                raise failure(asked, self._subject)

    def _attempt(self, open_at: Callable[[Mapping[str, str]], Stream]) -> Generator[bytes, None, Answer | None]:
        """Yield pieces until the end; then return None, or the answer that asks us to come back later."""
        headers = {"Range": f"bytes={self.at}-{self._end - 1 if self._is_part else ''}"} if self.at else {}
        with open_at(headers) as stream:
            if stream.status not in (200, 206):
                return self._refusal(stream)
            yield from self._read(stream, skip=self._begin(stream))
        return None

    def _refusal(self, stream: Stream) -> Answer:
        answer = Answer(stream.status, stream.headers, stream.read_all(_ERROR_LIMIT), stream.url)
        if answer.status in RETRYABLE:
            return answer
        raise failure(answer, self._subject)

    def _begin(self, stream: Stream) -> int:
        """Return how many bytes of this body we have already; raises DigestMismatch where its size is wrong."""
        if stream.status == 206:
            if range_start(stream) != self.at:
                raise RegistryError(f"{self._subject}: the registry sends another range than it was asked for")
            return 0
        if self._is_part:
            raise RegistryError(f"{self._subject}: the registry does not send parts of a blob")
        length = stream.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) != self._descriptor.size:
            raise self._wrong_size(f"{int(length[:20])} bytes")
        return self.at

    def _read(self, stream: Stream, *, skip: int) -> Iterator[bytes]:
        while piece := stream.read(_PIECE):
            fresh = piece[skip:] if skip else piece
            skip -= len(piece) - len(fresh)
            if self.at + len(fresh) > self._end:
                raise self._wrong_size("more")
            if fresh:
                self.at += len(fresh)
                yield fresh
        if self.at < self._end:
            message = f"{self._subject}: the transfer broke after {self.at} of {self._descriptor.size} bytes"
            raise RegistryError(message, retryable=True)

    def _wrong_size(self, found: str) -> DigestMismatch:
        return DigestMismatch(
            f"{self._subject}: the registry has {found} where the manifest says {self._descriptor.size}",
            remedy="the image is damaged there: push it again",
        )


def range_start(stream: Stream) -> int | None:
    """Return the offset at which a partial answer begins; None where it does not say."""
    found = re.match(r"bytes ([0-9]{1,19})-", stream.headers.get("Content-Range", ""))
    return int(found[1]) if found else None
