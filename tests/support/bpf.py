"""An interpreter of the classic BPF that seccomp(2) takes, as slow and plain as the manual page."""

from __future__ import annotations

import struct


def run_filter(program: bytes, *, number: int, arch: int, arguments: tuple[int, ...], big_endian: bool = False) -> int:
    """Return what a filter says of a system call; refuse a jump past the end or backwards, as the kernel does."""
    order = ">" if big_endian else "<"
    seen = struct.pack(f"{order}IIQ6Q", number, arch, 0, *arguments)
    instructions = list(struct.iter_unpack(f"{order}HBBI", program))
    assert 0 < len(instructions) <= 4096
    place = accumulator = 0
    while True:
        code, if_true, if_false, value = instructions[place]
        place += 1
        match code:
            case 0x20:  # load a word
                (accumulator,) = struct.unpack_from(f"{order}I", seen, value)
            case 0x54:
                accumulator &= value
            case 0x05:
                place += value
            case 0x15:
                place += if_true if accumulator == value else if_false
            case 0x35:
                place += if_true if accumulator >= value else if_false
            case 0x45:
                place += if_true if accumulator & value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"no instruction of a filter: {code:#x}")
