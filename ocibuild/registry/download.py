"""One blob on its way here: what has arrived stays, whatever happens to the connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch, RegistryError
from ocibuild.registry.messages import Answer, failure
from ocibuild.registry.retry import RETRYABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.oci import Descriptor
    from ocibuild.registry.connections import Stream
    from ocibuild.registry.retry import Retries

_PIECE = 1 << 20  # bytes read at once
_PROGRESS = 1 << 20  # bytes after which a broken connection is not the same failure again
_ERROR_LIMIT = 64 << 10


class Download:
    """The transfer of one blob to ``write``, in order, from one server or from several, each byte once.

    ``received`` is how many bytes were written. Nothing is checked here but the size: the writer knows the digest.
    """

    def __init__(self, subject: str, descriptor: Descriptor, write: Callable[[bytes], None]) -> None:
        self.received = 0
        self._subject = subject
        self._descriptor = descriptor
        self._write = write

    def run(self, open_at: Callable[[Mapping[str, str]], Stream], retries: Retries | None) -> None:
        """Fetch what is missing; ``open_at`` sends the request with some headers more.

        A transfer that breaks is taken up where it ended (RFC 9110, section 14) while ``retries`` last; None is a
        single attempt. Raises NotFound, Unauthorized, RegistryError; DigestMismatch where the size is another.
        """
        while True:
            before = self.received
            try:
                asked = self._attempt(open_at)
            except RegistryError as error:
                if retries and self.received - before > _PROGRESS:
                    retries.renew()
                if not (error.retryable and retries and retries.wait()):
                    raise
                continue
            if asked is None:
                return
            if not (retries and retries.wait(asked.headers.get("Retry-After"))):
                raise failure(asked, self._subject)

    def _attempt(self, open_at: Callable[[Mapping[str, str]], Stream]) -> Answer | None:
        """Fetch until the end and return None, or return the answer that asks us to come back later."""
        headers = {"Range": f"bytes={self.received}-"} if self.received else {}
        with open_at(headers) as stream:
            if stream.status not in (200, 206):
                return self._refusal(stream)
            self._copy(stream, skip=self._begin(stream))
        return None

    def _refusal(self, stream: Stream) -> Answer:
        answer = Answer(stream.status, stream.headers, stream.read_all(_ERROR_LIMIT), stream.url)
        if answer.status in RETRYABLE:
            return answer
        raise failure(answer, self._subject)

    def _begin(self, stream: Stream) -> int:
        """Return how many bytes of this body we have already; raises DigestMismatch where its size is wrong."""
        if stream.status == 206:
            if _range_start(stream.headers.get("Content-Range", "")) != self.received:
                raise RegistryError(f"{self._subject}: the registry sends another range than it was asked for")
            return 0
        length = stream.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) != self._descriptor.size:
            raise self._wrong_size(f"{int(length[:20])} bytes")
        return self.received

    def _copy(self, stream: Stream, *, skip: int) -> None:
        size = self._descriptor.size
        while piece := stream.read(_PIECE):
            fresh = piece[skip:] if skip else piece
            skip -= len(piece) - len(fresh)
            if self.received + len(fresh) > size:
                raise self._wrong_size("more")
            if fresh:
                self.received += len(fresh)
                self._write(fresh)
        if self.received < size:
            message = f"{self._subject}: the transfer broke after {self.received} of {size} bytes"
            raise RegistryError(message, retryable=True)

    def _wrong_size(self, found: str) -> DigestMismatch:
        return DigestMismatch(
            f"{self._subject}: the registry has {found} where the manifest says {self._descriptor.size}",
            remedy="the image is damaged there: push it again",
        )


def _range_start(content_range: str) -> int | None:
    found = re.match(r"bytes ([0-9]{1,19})-", content_range)
    return int(found[1]) if found else None
