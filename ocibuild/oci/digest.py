"""Digests, and the IDs made of them: names of bytes, of a layer's plain tar, of a stack of layers."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NewType

from ocibuild.errors import InvalidDigest

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Sequence

_ENCODED_LENGTH = {"sha256": 64, "sha512": 128}
_SHORT = 12  # characters, as docker shows an ID


class Digest(str):
    """``algorithm:hex`` of some bytes, checked where it is made by ``parse`` or ``of``.

    The algorithms are those that the specification registers and the standard library computes: sha256 and sha512.
    See image-spec, descriptor.md, "Digests".
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that ``text`` is; raises InvalidDigest, also for an algorithm that we cannot compute."""
        if not _grammar().fullmatch(text):
            raise InvalidDigest(f"{_shown(text)} is not a digest", remedy="a digest looks like sha256:<64 hex digits>")
        algorithm, _, encoded = text.partition(":")
        length = _ENCODED_LENGTH.get(algorithm)
        if length is None:
            known = " and ".join(_ENCODED_LENGTH)
            raise InvalidDigest(
                f"{_shown(text)}: the digest algorithm {_shown(algorithm)} is not supported; {known} are"
            )
        if len(encoded) != length or not _hexadecimal().fullmatch(encoded):
            raise InvalidDigest(f"{_shown(text)}: {algorithm} is {length} lower-case hexadecimal digits")
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the SHA-256 digest of ``data``."""
        import hashlib

        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """The part before the colon: ``sha256``."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part after the colon: lower-case hexadecimal digits."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hexadecimal digits, as docker shows an ID."""
        return self.encoded[:_SHORT]

    def hasher(self) -> hashlib._Hash:
        """Return a fresh hashlib object of this digest's algorithm, for bytes that should have this digest."""
        import hashlib

        return hashlib.new(self.algorithm)


DiffID = NewType("DiffID", Digest)
"""The digest of a layer's uncompressed tar."""

ChainID = NewType("ChainID", Digest)
"""The digest of a stack of diff IDs; it names the tree they give."""


def chain_id(diff_ids: Sequence[DiffID]) -> ChainID:
    """Return the name of the tree that these layers give, applied in order.

    ``diff_ids`` is oldest first, as in ``rootfs.diff_ids``; a single one is its own chain ID.
    See image-spec, config.md, "Layer ChainID". Raises ValueError where there is none.
    """
    if not diff_ids:
        raise ValueError("no layer has no chain ID")
    return chain_ids(diff_ids)[-1]


def chain_ids(diff_ids: Sequence[DiffID]) -> tuple[ChainID, ...]:
    """Return the chain ID of each prefix of ``diff_ids``, shortest first: one for each layer."""
    chain: list[ChainID] = []
    for diff_id in diff_ids:
        name = Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id
        chain.append(ChainID(name))
    return tuple(chain)


@functools.cache
def _grammar() -> re.Pattern[str]:
    """As the specification has it: ``digest ::= algorithm ":" encoded``."""
    return re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


@functools.cache
def _hexadecimal() -> re.Pattern[str]:
    return re.compile(r"[0-9a-f]+")


def _shown(text: str) -> str:
    """Return ``text`` quoted, on one line and of bounded length."""
    limit = 160
    return repr(text if len(text) <= limit else text[:limit] + "…")
