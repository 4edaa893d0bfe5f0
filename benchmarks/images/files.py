"""Layers of made-up files, the same on every machine."""

from __future__ import annotations

import math
import tarfile
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from benchmarks.images.layer import CachedLayer, tar_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from gzip import GzipFile

_PER_FOLDER = 100
_SHORTEST, _LONGEST = 4 << 10, 64 << 10  # of a stretch of one kind
_POOL = 1 << 20


class Files(CachedLayer):
    """``count`` files below a folder, from ``smallest`` to ``largest`` bytes, with as many small ones as large ones.

    Half of the content is noise and half is text, so that the layer is sent as three quarters of its size.
    """

    def __init__(self, folder: str, count: int, smallest: int, largest: int) -> None:
        super().__init__(f"files-{folder}-{count}-{smallest}-{largest}.tar")
        self._folder = folder
        self._count = count
        self._range = (math.log(smallest), math.log(largest))

    def write(self, target: GzipFile) -> None:
        random = Random(self._folder)
        target.write(_folder(self._folder))
        for number in range(self._count):
            below = f"{self._folder}/{number // _PER_FOLDER:03}"
            if number % _PER_FOLDER == 0:
                target.write(_folder(below))
            size = int(math.exp(random.uniform(*self._range)))
            target.write(tar_header(f"{below}/{number:05}", size))
            target.writelines(content(random, size))
            target.write(bytes(-size % tarfile.BLOCKSIZE))


def content(random: Random, size: int, text: float = 0.5) -> Iterator[bytes]:
    """Yield ``size`` bytes: stretches of noise, and of text where that is due."""
    while size:
        length = min(size, random.randint(_SHORTEST, _LONGEST))
        size -= length
        if random.random() < text:
            start = random.randrange(_POOL - length)
            yield _text()[start : start + length]
        else:
            yield random.randbytes(length)


@cache
def _text() -> bytes:
    random = Random("text")
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(4096)]
    return " ".join(random.choices(words, k=_POOL // 3)).encode()[:_POOL]


def _folder(path: str) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf()
