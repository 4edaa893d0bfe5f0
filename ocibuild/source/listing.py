"""What a selection of files held, file by file: kept beside its digest, to tell what has changed since."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.source.files import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Listing: TypeAlias = dict[str, str]
"""By path: type, owners and mode, and a SHA-256 in hexadecimal of what it holds, as ``100000 0 0 644 01234567…``.

The digest is whole: where two listings have the same entry, one file is taken for the other.
"""

_SOURCE = b"source "
_DIGEST = b"sha256:"
_AT_ONCE = 1000


def listing(names: Sequence[str], records: Iterable[bytes]) -> Listing:
    """Return the listing of what ``content_digest()`` has kept; ``names`` are those of what was selected, in order.

    Paths begin with the name under which a file was selected, whatever symlinks that led through.
    """
    return dict(entries(names, records))


def in_one_directory(files: Listing) -> Listing | None:
    """Return what is below the one directory that was selected, by names relative to it; None where more was.

    ``files`` is of one path. A file that was selected has nothing below it.
    """
    top = next(iter(files), ".")
    prefix = "" if top == "." else f"{top}/"
    below = {path: entry for path, entry in files.items() if path != top}
    if not all(path.startswith(prefix) for path in below):
        return None
    return {path[len(prefix) :]: entry for path, entry in below.items()}


def to_text(files: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield in pieces how a listing of these entries is stored: it may have a million, and be held but once."""
    left, separator = iter(files), "{"
    while some := dict(islice(left, _AT_ONCE)):
        yield separator + json.dumps(some, separators=(",", ":"))[1:-1]
        separator = ","
    yield "}" if separator == "," else "{}"


def from_text(text: str) -> Listing:
    """Return the listing that was stored as ``text``."""
    found: Listing = json.loads(text)
    return found


def entries(names: Sequence[str], records: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the entries of the listing of what ``content_digest()`` has kept, as ``listing()`` has them."""
    top, tops = "", iter(names)
    for record in records:
        if record.startswith(_SOURCE):
            top = next(tops)
            continue
        length, _, rest = record.partition(b":")
        name = os.fsdecode(rest[: int(length)])
        *head, payload = rest[int(length) + 1 : -1].split(b" ", 4)
        yield join(top, name) or ".", f"{b' '.join(head).decode()} {_hexadecimal(payload)}"


def _hexadecimal(payload: bytes) -> str:
    if payload.startswith(_DIGEST):
        return payload[len(_DIGEST) :].decode()
    return hashlib.sha256(payload).hexdigest()
