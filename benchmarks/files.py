"""Made-up files below a folder: ``python files.py FOLDER SEED COUNT SIZE``.

It is also what a step runs in the base image, so it is a program of its own that needs nothing but Python, and what
it writes costs next to nothing to make: half of each file is a stretch of one pool of noise, half of one of text. A
pool is far longer than what a compressor looks back, so that the noise stays noise.
"""

from __future__ import annotations

import os
import random
import sys

_PER_FOLDER = 100
_NOISE, _TEXT = 8 << 20, 1 << 20


def write_files(folder: str, seed: str, count: int, size: int) -> None:
    """Write ``count`` files of ``size`` bytes, a hundred in each folder below ``folder``, which is made."""
    chance = random.Random(seed)
    noise, text = chance.randbytes(max(_NOISE, size)), _text(chance, max(_TEXT, size))
    for number in range(count):
        below = f"{folder}/{number // _PER_FOLDER:04}"
        if number % _PER_FOLDER == 0:
            os.makedirs(below)
        with open(f"{below}/{number:06}", "wb", buffering=0) as file:
            file.write(_stretch(chance, noise, size // 2) + _stretch(chance, text, size - size // 2))


def _text(chance: random.Random, size: int) -> bytes:
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(4096)]
    return " ".join(chance.choices(words, k=size // 3)).encode()[:size]


def _stretch(chance: random.Random, pool: bytes, size: int) -> bytes:
    start = chance.randrange(len(pool) - size + 1)
    return pool[start : start + size]


if __name__ == "__main__":
    write_files(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
