"""Layers that have any number of variants which nobody saw before, and those of them that a cache keeps."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20
_LEVEL = 6  # docker's, too
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Blob:
    """A variant of a layer: all that the variants have in common, and its own ``tail``."""

    digest: str
    diff_id: str
    size: int
    layer: Layer
    tail: bytes

    def pieces(self) -> Iterator[bytes]:
        yield from self.layer.packed()
        yield self.tail


class Layer(ABC):
    """A gzipped tar without its end.

    A variant has one small file more and the end, in a last member of the gzip file: what comes before is hashed once.
    """

    @abstractmethod
    def packed(self) -> Iterator[bytes]:
        """Yield the gzip file."""

    @abstractmethod
    def plain(self) -> Iterator[bytes]:
        """Yield the tar."""

    def variant(self, tag: str) -> Blob:
        """Return the variant of this name."""
        tail = tar_entry(f"variant-{tag}", tag.encode()) + _END
        packed = gzip.compress(tail, mtime=0)
        size, hash_packed, hash_plain = self._begun
        digest, diff_id = _finish(hash_packed, packed), _finish(hash_plain, tail)
        return Blob(digest, diff_id, size + len(packed), self, packed)

    @cached_property
    def _begun(self) -> tuple[int, Any, Any]:
        """The size of what is packed, and the hashes of it and of what is plain."""
        size, packed, plain = 0, hashlib.sha256(), hashlib.sha256()
        for piece in self.packed():
            size += len(piece)
            packed.update(piece)
        for piece in self.plain():
            plain.update(piece)
        return size, packed, plain


class CachedLayer(Layer):
    """A layer in a file that is made once a machine; another ``name`` is another content."""

    def __init__(self, name: str) -> None:
        self._name = name

    @abstractmethod
    def write(self, target: gzip.GzipFile) -> None:
        """Write the tar without its end."""

    def packed(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            yield from _pieces(file)

    def plain(self) -> Iterator[bytes]:
        with gzip.open(self.path) as file:
            yield from _pieces(file)

    @cached_property
    def path(self) -> str:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = os.path.join(cache, "ocibuild-benchmarks")
        path = os.path.join(folder, f"{self._name}.gz")
        if not os.path.exists(path):
            os.makedirs(folder, exist_ok=True)
            part = f"{path}.{os.getpid()}"
            with open(part, "wb") as raw, gzip.GzipFile("", "wb", _LEVEL, fileobj=raw, mtime=0) as packed:
                self.write(packed)
            os.rename(part, path)
        return path


def tar_entry(name: str, data: bytes) -> bytes:
    """Return a file as an entry of a tar."""
    padding = bytes(-len(data) % tarfile.BLOCKSIZE)
    return tar_header(name, len(data)) + data + padding


def tar_header(name: str, size: int) -> bytes:
    """Return what is before a file's content in a tar."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


def _pieces(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _finish(begun: Any, rest: bytes) -> str:
    hasher = begun.copy()
    hasher.update(rest)
    return f"sha256:{hasher.hexdigest()}"
