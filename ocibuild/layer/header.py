"""The 512-byte header block of a tar: fields, numbers and the checksum. Pure functions.

See POSIX.1-2017, pax, "ustar Interchange Format", and the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import struct
from functools import lru_cache
from zlib import adler32

from ocibuild.errors import InvalidLayer
from ocibuild.values import NamedTuple

BLOCK = 512
ZEROS = bytes(BLOCK)

POSIX_MAGIC = b"ustar\0"
GNU_MAGIC = b"ustar "

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s6s2x64x8s8s155s12x")
_ADLER_MODULUS = 65521
"""More than the checksum of any header whose characters are ASCII."""


class Fields(NamedTuple):
    """The fields of one header, as they are."""

    name: bytes
    mode: bytes
    uid: bytes
    gid: bytes
    size: bytes
    mtime: bytes
    checksum: bytes
    typeflag: bytes
    linkname: bytes
    magic: bytes
    devmajor: bytes
    devminor: bytes
    prefix: bytes


def split_header(block: bytes) -> Fields:
    """Return the fields of a header block; InvalidLayer where its checksum is wrong."""
    fields = Fields._make(_FIELDS.unpack(block))
    expected = number(fields.checksum)
    if checksum(block[:148], block[156:]) != expected % _ADLER_MODULUS and signed_checksum(block) != expected:
        raise InvalidLayer("not a tar, or a damaged one: the checksum of a header is wrong")
    return fields


def checksum(start: bytes, end: bytes) -> int:
    """Return the checksum, modulo 65521, of the header that has these bytes before and after it."""
    # Adler-32 keeps the sum of the bytes in its lower half: a hundred times quicker than sum(). Eight spaces, 256
    # together, stand for the checksum itself.
    return adler32(end, adler32(start, 256) & 0xFFFF) & 0xFFFF


def signed_checksum(block: bytes) -> int:
    """Return the checksum as some old tars made it, from signed bytes."""
    signed: tuple[int, ...] = struct.unpack("512b", block)
    return sum(signed[:148]) + 256 + sum(signed[156:])


def text(value: bytes) -> str:
    """Return the characters of a field up to its NUL."""
    return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")


@lru_cache(maxsize=512)
def number(value: bytes) -> int:
    """Return the number in a field: octal digits, or base-256 where the first bit is set. An empty field is 0.

    Raises InvalidLayer for anything else, for a negative one, and for more than 63 bits.
    """
    digits = value.strip(b" \0")
    if digits.isdigit():
        return _octal(digits)
    if not digits:
        return 0
    if value[0] & 0x80:
        return _base256(value)
    digits = value.partition(b"\0")[0].strip(b" ")
    if digits.isdigit():
        return _octal(digits)
    raise InvalidLayer(f"a header of the tar has {value!r} in place of a number")


def signed_number(value: bytes) -> int:
    """Return the number in a field that may be negative: a time before 1970."""
    if value[0] == 0xFF:
        return _within_63_bits(int.from_bytes(value, "big", signed=True))
    return number(value)


def _octal(digits: bytes) -> int:
    try:
        return int(digits, 8)
    except ValueError as error:
        raise InvalidLayer(f"a header of the tar has {digits!r} in place of an octal number") from error


def _base256(value: bytes) -> int:
    if value[0] != 0x80:
        raise InvalidLayer("a header of the tar has a negative or a huge number")
    return _within_63_bits(int.from_bytes(value[1:], "big"))


def _within_63_bits(found: int) -> int:
    if not -(1 << 63) <= found < 1 << 63:
        raise InvalidLayer("a header of the tar has a number of more than 63 bits")
    return found
