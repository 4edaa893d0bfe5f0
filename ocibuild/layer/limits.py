"""What a layer may cost whoever reads it, whatever its archive says.

A few kilobytes can be terabytes when decompressed, or millions of names. So the plain bytes are counted as they come,
and the first one too many ends the layer; see also the limits of a name, of an extended header and of a sparse map,
which stand where these are read.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidLayer
from ocibuild.layer.compression import decompress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.layer.reader import Readable
    from ocibuild.oci import Compression, Limits

FREE = 1 << 30
"""Plain bytes of a layer that may have any ratio: a file of a few hundred megabytes of zeros is nobody's attack."""
MAX_HELD = 512 << 20
"""Bytes of the names that a layer makes us remember until its end: of its directories, and of links to layers below."""
_HELD_EACH = 256  # about what Python needs beside the name itself


class Allowance:
    """What an image may still take of ``total`` bytes; its layers share it, from any thread."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._lock = Lock()
        self._taken = 0  # guarded by the lock

    def take(self, count: int, name: str = "") -> None:
        """Count further bytes; InvalidLayer where that is too many, told of the layer ``name``."""
        with self._lock:
            self._taken += count
            taken = self._taken
        if taken > self._total:
            raise InvalidLayer(
                f"{_called(name)}the image has more than {self._total} bytes when its layers are unpacked",
                remedy=_raise("image-size"),
            )


class Meter:
    """One layer, held against its limits while it is read; ``name`` is what errors call it."""

    def __init__(self, limits: Limits, allowance: Allowance | None = None, name: str = "") -> None:
        self._limits = limits
        self._allowance = allowance or Allowance(limits.total)
        self._name = name
        self._compressed = 0
        self._plain = 0
        self._entries = 0
        self._held = 0

    def plain_bytes(
        self, blob: Readable, compression: Compression, progress: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """Yield what ``decompress()`` does, as long as it is within the limits; InvalidLayer where it is not."""

        def count(more: int) -> None:
            self._compressed += more
            if progress is not None:
                progress(more)

        for piece in decompress(blob, compression, count):
            self._plain += len(piece)
            if self._plain - FREE > self._limits.ratio * self._compressed:
                raise InvalidLayer(
                    f"{_called(self._name)}a decompression bomb: {self._compressed} bytes of the layer have become "
                    f"{self._plain}, more than {self._limits.ratio} times as many",
                    remedy=_raise("layer-ratio"),
                )
            self._allowance.take(len(piece), self._name)
            yield piece

    def entry(self, holes: int) -> None:
        """Count one entry, whose file has so many bytes that the tar does not hold."""
        self._entries += 1
        if self._entries > self._limits.entries:
            raise InvalidLayer(
                f"{_called(self._name)}the layer has more than {self._limits.entries} entries",
                remedy=_raise("layer-entries"),
            )
        if holes:
            self._allowance.take(holes, self._name)

    def hold(self, name: str) -> None:
        """Count a name that is remembered until the end of the layer."""
        self._held += len(name) + _HELD_EACH
        if self._held > MAX_HELD:
            raise InvalidLayer(f"{_called(self._name)}the layer has too many directories, or links to layers below")


def _called(name: str) -> str:
    return f"{name}: " if name else ""


def _raise(key: str) -> str:
    return f"where the image is trusted, raise `{key}` under [limits] in the configuration file"
