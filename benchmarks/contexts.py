"""What large contexts are made of, and small changes of them."""

from __future__ import annotations

import json
import os
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from benchmarks import files
from benchmarks.images.files import content

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 64 << 20


def write_large_file(path: str, size: int) -> None:
    """Write a file of ``size`` bytes: one block of 64 MiB, half noise and half text, again and again.

    No compressor that takes part looks back so far, so it is not smaller for that; and it has no holes.
    """
    block = memoryview(_block())
    with open(path, "wb") as file:
        file.writelines(block[: size - start] for start in range(0, size, _BLOCK))


def change(path: str, text: str) -> None:
    """Write a few words over the beginning of a file, whose size stays."""
    with open(path, "r+b") as file:
        file.write(text.encode())


def step_that_writes(folder: str, seed: str, count: int, size: int) -> str:
    """Return the RUN that writes files in a base with Python; another seed gives other files."""
    with open(files.__file__, encoding="utf-8") as source:
        program: Sequence[str] = ("python3", "-c", source.read(), folder, seed, str(count), str(size))
    return f"RUN {json.dumps(program)}"


def first_file(folder: str) -> str:
    """Return the path of the first of the files that were written below a folder."""
    below = os.path.join(folder, min(os.listdir(folder)))
    return os.path.join(below, min(os.listdir(below)))


@cache
def _block() -> bytes:
    return b"".join(content(Random("block"), _BLOCK))
