"""Entries of a tar as bytes, written field by field, so that they can say anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MTIME = 1_600_000_000
POSIX, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
END = bytes(1024)

_OFFSETS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "checksum": (148, 8), "typeflag": (156, 1), "linkname": (157, 100), "magic": (257, 8), "uname": (265, 32),
    "gname": (297, 32), "devmajor": (329, 8), "devminor": (337, 8), "prefix": (345, 155),
}  # fmt: skip
_BLOCK = 512


def entry(
    name: str | bytes,
    typeflag: bytes = b"0",
    body: bytes = b"",
    *,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = MTIME,
    linkname: str | bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = POSIX,
    **raw: bytes,
) -> bytes:
    """Return one entry: header, body, padding. Bytes are a field as it shall stand there."""
    fields = {
        "name": _bytes(name),
        "mode": _octal(7, mode),
        "uid": _octal(7, uid),
        "gid": _octal(7, gid),
        "size": b"%011o" % len(body),
        "mtime": _octal(11, mtime),
        "typeflag": typeflag,
        "linkname": _bytes(linkname),
        "magic": magic,
        "devmajor": b"%07o" % device[0],
        "devminor": b"%07o" % device[1],
    } | raw
    block = bytearray(_BLOCK)
    for field, value in fields.items():
        at, length = _OFFSETS[field]
        assert len(value) <= length, field
        block[at : at + len(value)] = value
    if "checksum" not in raw:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + padded(body)


def padded(body: bytes) -> bytes:
    """Return ``body`` filled up to whole blocks."""
    return body + bytes(-len(body) % _BLOCK)


def extended(
    records: Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]] | bytes, kind: bytes = b"x"
) -> bytes:
    """Return an extended header of POSIX with these records, of which one key may come twice; or with these bytes."""
    if isinstance(records, bytes):
        content = records
    else:
        pairs = records.items() if hasattr(records, "items") else records
        content = b"".join(record(key, _bytes(value)) for key, value in pairs)
    return entry("PaxHeaders/x", kind, content)


def record(key: str, value: bytes) -> bytes:
    """Return one record, with its own length before it."""
    rest = b" " + _bytes(key) + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d" % length + rest


def long_name(text: str | bytes, kind: bytes = b"L") -> bytes:
    """Return GNU's entry for a long name (``L``) or a long target (``K``) of the entry that follows."""
    return entry("././@LongLink", kind, _bytes(text) + b"\0", magic=GNU)


def f(name: str | bytes, text: str | bytes = b"", **fields: object) -> bytes:
    """Return a file."""
    return entry(name, b"0", _bytes(text), **fields)  # type: ignore[arg-type]


def d(name: str | bytes, mode: int = 0o755, **fields: object) -> bytes:
    """Return a directory."""
    return entry(name, b"5", mode=mode, **fields)  # type: ignore[arg-type]


def s(name: str | bytes, target: str | bytes, **fields: object) -> bytes:
    """Return a symbolic link."""
    return entry(name, b"2", linkname=target, mode=0o777, **fields)  # type: ignore[arg-type]


def h(name: str | bytes, target: str | bytes, **fields: object) -> bytes:
    """Return a hard link."""
    return entry(name, b"1", linkname=target, **fields)  # type: ignore[arg-type]


def p(name: str | bytes, **fields: object) -> bytes:
    """Return a FIFO."""
    return entry(name, b"6", **fields)  # type: ignore[arg-type]


def node(name: str | bytes, typeflag: bytes, major: int, minor: int, **fields: object) -> bytes:
    """Return a device: ``3`` is one of characters, ``4`` one of blocks."""
    return entry(name, typeflag, device=(major, minor), **fields)  # type: ignore[arg-type]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _octal(digits: int, value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b"%0*o" % (digits, value)
