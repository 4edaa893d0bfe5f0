"""What a program loads, read from its ELF file: the dynamic loader and the shared libraries."""

from __future__ import annotations

import glob
import os
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_DEFAULT_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")


class NotELF(Exception):
    """A file that is no ELF program or library."""


@dataclass(frozen=True, slots=True)
class Elf:
    """``machine`` is class, byte order and architecture: a library fits a program only where these are equal."""

    machine: tuple[int, int, int]
    interpreter: str | None
    needed: tuple[str, ...]
    folders: tuple[str, ...]


@cache
def read_elf(path: str) -> Elf:
    """Raises NotELF, and OSError where the file cannot be read."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"\x7fELF":
        raise NotELF
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (architecture,) = struct.unpack_from(f"{order}H", data, 18)
    segments = _segments(data, order, wide=wide)
    parts = {kind: data[offset : offset + size] for kind, offset, _, size in segments}
    words = list(struct.iter_unpack(f"{order}2{'Q' if wide else 'I'}", parts.get(_PT_DYNAMIC, b"")))
    strings = _file_offset(segments, next((value for tag, value in words if tag == _DT_STRTAB), 0))
    needed = [_string(data, strings + value) for tag, value in words if tag == _DT_NEEDED]
    paths = [_string(data, strings + value) for tag, value in words if tag in (_DT_RPATH, _DT_RUNPATH)]
    return Elf(
        (data[4], data[5], architecture),
        parts.get(_PT_INTERP, b"").rstrip(b"\0").decode() or None,
        tuple(needed),
        tuple(_expanded(folder, path) for folders in paths for folder in folders.split(":") if folder),
    )


def _expanded(folder: str, path: str) -> str:
    origin = os.path.dirname(os.path.realpath(path))
    return folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)


def _segments(data: bytes, order: str, *, wide: bool) -> list[tuple[int, int, int, int]]:
    """Return type, place in the file, address and size in the file of each segment; see elf(5)."""
    if wide:
        (table,), (size, count) = struct.unpack_from(f"{order}Q", data, 32), struct.unpack_from(f"{order}2H", data, 54)
        rows = (struct.unpack_from(f"{order}2I4Q", data, table + size * row) for row in range(count))
        return [(kind, offset, address, length) for kind, _, offset, address, _, length in rows]
    (table,), (size, count) = struct.unpack_from(f"{order}I", data, 28), struct.unpack_from(f"{order}2H", data, 42)
    rows = (struct.unpack_from(f"{order}5I", data, table + size * row) for row in range(count))
    return [(kind, offset, address, length) for kind, offset, address, _, length in rows]


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return address - start + offset
    return address


def _string(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def libraries_of(program: str) -> Iterator[str]:
    """Yield the paths of the loader and of each library that ``program`` loads, as the loader would find them."""
    first = read_elf(program)
    if first.interpreter:
        yield first.interpreter
    waiting, seen = [first], set[str]()
    while waiting:
        loaded = waiting.pop()
        for name in loaded.needed:
            path = find_library(name, loaded, first.interpreter)
            if path not in seen:
                seen.add(path)
                waiting.append(read_elf(path))
                yield path


def find_library(name: str, wanted_by: Elf, interpreter: str | None) -> str:
    """Return the path of a library; raises FileNotFoundError."""
    beside_loader = [os.path.dirname(os.path.realpath(interpreter))] if interpreter else []
    folders = [*wanted_by.folders, *_configured("/etc/ld.so.conf"), *beside_loader, *_DEFAULT_FOLDERS]
    for path in [name] if "/" in name else (os.path.join(folder, name) for folder in folders):
        if _fits(path, wanted_by):
            return path
    raise FileNotFoundError(f"no library {name} in {', '.join(folders)}")


def _fits(path: str, wanted_by: Elf) -> bool:
    try:
        return read_elf(path).machine == wanted_by.machine
    except (OSError, NotELF):
        return False


def _configured(path: str) -> Iterator[str]:
    """Yield the folders of an ld.so.conf; see ldconfig(8)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except OSError:
        return
    for line in lines:
        if line.startswith("include"):
            pattern = os.path.join(os.path.dirname(path), line.removeprefix("include").strip())
            for included in sorted(glob.glob(pattern)):
                yield from _configured(included)
        elif line:
            yield line
