"""Run a command where no namespace can be made and nothing mounted, as in a container with Docker's seccomp profile.

``python3 refuse.py COMMAND…``, as root: a program of the standard library alone. x86-64 and arm64 are known.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW… flags that clone(2) knows
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: ld w abs, jeq, jset, ret
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_CALLS = {
    "x86_64": {
        "clone": 56, "clone3": 435,
        "refused": (272, 308, 165, 166, 155, 428, 429, 430, 431, 432, 433, 442, 310, 311, 248, 249, 250),
    },
    "aarch64": {
        "clone": 220, "clone3": 435,
        "refused": (97, 268, 40, 39, 41, 428, 429, 430, 431, 432, 433, 442, 270, 271, 217, 218, 219),
    },
}  # fmt: skip
"""Refused: unshare, setns, mount, umount2, pivot_root, open_tree, move_mount, the fs… calls, mount_setattr;
process_vm_readv and process_vm_writev, which Debian's docker refuses too, and the calls for keyrings."""


def program(machine: str) -> list[tuple[int, int, int, int]]:
    """Return the filter: (code, jump where true, jump where false, value) each."""
    calls = _CALLS[machine]
    refused: tuple[int, ...] = calls["refused"]  # type: ignore[assignment]
    lines = [(_LOAD, 0, 0, _NUMBER)]
    for number in refused:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    # its flags are in memory, which no filter sees: the C library does with clone(2) where it is not there
    lines += [(_EQUAL, 0, 1, calls["clone3"]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]  # type: ignore[list-item]
    lines += [(_EQUAL, 0, 3, calls["clone"]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]  # type: ignore[list-item]
    lines += [(_ANY_BIT, 0, 1, _NEW_NAMESPACES), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def install(lines: list[tuple[int, int, int, int]]) -> None:
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("@HxxxxxxP", len(lines), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter is refused")


if __name__ == "__main__":
    install(program(platform.machine()))
    os.execvp(sys.argv[1], sys.argv[1:])
