"""ELF programs by their headers: which processor one is for, and the smallest one for each; see elf(5)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAGIC = b"\x7fELF"
_EXECUTABLE = 2  # ET_EXEC; a position-independent program is ET_DYN, 3
_LOAD, _INTERPRETER = 1, 3  # PT_LOAD, PT_INTERP
_READ_AND_EXECUTE = 5
_ADDRESS = 0x400000
_ALIGNMENT = 0x10000  # of the largest pages that any of these processors has


class Processor(NamedTuple):
    """What the header of a program says of its processor: e_machine, EI_CLASS, EI_DATA and e_flags.

    ``counting`` is a program in its instructions: exit with the number of arguments, which is what the stack begins
    with.
    """

    machine: int
    bits: int
    counting: bytes
    big_endian: bool = False
    flags: int = 0

    @property
    def order(self) -> str:
        """The byte order, as struct writes it."""
        return ">" if self.big_endian else "<"


def _words(*words: int) -> bytes:
    """Return instructions of 32 bits each, the lowest byte first."""
    return struct.pack(f"<{len(words)}I", *words)


# load the first word of the stack into the register of the first argument; the number of exit(2); the system call
PROCESSORS = {
    "386": Processor(3, 32, bytes.fromhex("8b1c24 31c0 40 cd80")),
    "amd64": Processor(62, 64, bytes.fromhex("488b3c24 b83c000000 0f05")),
    "arm": Processor(40, 32, _words(0xE59D0000, 0xE3A07001, 0xEF000000), flags=0x5000000),
    "arm64": Processor(183, 64, _words(0xF94003E0, 0xD2800BA8, 0xD4000001)),
    "loong64": Processor(258, 64, _words(0x28C00064, 0x0381740B, 0x002B0000), flags=0x43),
    "mips64le": Processor(8, 64, _words(0xDFA40000, 0x240213C2, 0x0000000C), flags=0x80000007),
    "ppc64le": Processor(21, 64, _words(0xE8610000, 0x38000001, 0x44000002), flags=2),
    "riscv64": Processor(243, 64, _words(0x00013503, 0x05D00893, 0x00000073)),
    "s390x": Processor(22, 64, bytes.fromhex("e320f0000004 0a01"), big_endian=True),
}
"""By the architecture of a platform."""


def pattern(processor: Processor) -> tuple[bytes, bytes]:
    """Return the first bytes of every program for a processor, and a mask of the bits of them that matter.

    The ABI and the padding do not, nor whether the program is position-independent.
    """
    start = struct.pack("4sBBB9x", _MAGIC, processor.bits // 32, 1 + processor.big_endian, 1)
    kind = struct.pack(f"{processor.order}HH", _EXECUTABLE, processor.machine)
    mask = struct.pack(f"{processor.order}7s9xHH", b"\xff" * 7, 0xFFFE, 0xFFFF)
    return start + kind, mask


def counting_program(processor: Processor) -> bytes:
    """Return a whole program whose exit status is the number of its arguments."""
    word, headers = ("I", (52, 32)) if processor.bits == 32 else ("Q", (64, 56))
    order, size = processor.order, sum(headers)
    length = size + len(processor.counting)
    # e_type and e_machine come with the pattern
    header = pattern(processor)[0] + struct.pack(
        f"{order}I3{word}I6H", 1, _ADDRESS + size, headers[0], 0, processor.flags, *headers, 1, 0, 0, 0
    )
    place = (0, _ADDRESS, _ADDRESS, length, length)
    if processor.bits == 32:
        segment = struct.pack(f"{order}I5III", _LOAD, *place, _READ_AND_EXECUTE, _ALIGNMENT)
    else:
        segment = struct.pack(f"{order}II5QQ", _LOAD, _READ_AND_EXECUTE, *place, _ALIGNMENT)
    return header + segment + processor.counting


def is_static(start: bytes) -> bool:
    """Tell whether a program for this machine, which begins with ``start``, needs no dynamic linker."""
    if start[:4] != _MAGIC or len(start) < 64:
        return False
    order, word = (">" if start[5] == 2 else "<"), "IQ"[start[4] == 2]
    table, size, count = _program_headers(start, order, word)
    kinds: Sequence[int] = [
        struct.unpack_from(f"{order}I", start, place)[0]
        for place in range(table, table + size * count, size or 1)
        if place + 4 <= len(start)
    ]
    return bool(kinds) and _INTERPRETER not in kinds


def _program_headers(start: bytes, order: str, word: str) -> tuple[int, int, int]:
    """Return where the program headers are, the size of each, and how many there are."""
    _, table, _, _, _, size, count = struct.unpack_from(f"{order}3{word}I3H", start, 24)
    return table, size, count
