"""Size and digest of a stream as it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Tally:
    """Counts and hashes what it is given, with the algorithm of ``like`` (SHA-256 unless told)."""

    def __init__(self, like: Digest | None = None) -> None:
        like = like or Digest.of(b"")
        self.size = 0
        self._algorithm = like.algorithm
        self._hasher = like.hasher()

    def add(self, piece: bytes) -> None:
        """Count and hash the next bytes."""
        self.size += len(piece)
        self._hasher.update(piece)

    def digest(self) -> Digest:
        """Return the digest of all the bytes so far."""
        return Digest.parse(f"{self._algorithm}:{self._hasher.hexdigest()}")


def drain(pieces: Iterable[bytes], *uses: Callable[[bytes], object]) -> None:
    """Give each piece to each of ``uses``, in order."""
    for piece in pieces:
        for use in uses:
            use(piece)
