"""What is pulled, copied and pushed: one module, one class a kind of layer, and the images that are made of them."""

from benchmarks.images.debian import Debian
from benchmarks.images.files import Files
from benchmarks.images.huge import Huge
from benchmarks.images.image import Image, Variant
from benchmarks.images.layout import write_layout
from benchmarks.images.publish import publish

_KIB, _MIB = 1 << 10, 1 << 20
_DEBIAN = Debian("bookworm")

BASE = Image("debian", (_DEBIAN,))
"""A Debian tree of about 75 MB as sent."""

TINY = Image("tiny", (Files("tiny", 10, 64, 256),))
"""A base that nothing can run in, for a COPY."""

COMPILER_LAYER = Debian("bookworm", ("gcc",))
COMPILER = Image("compiler", (COMPILER_LAYER,))
"""The same, with gcc's packages downloaded and not installed."""

BIG = Image(
    "big",
    (
        _DEBIAN,
        Files("modules", 12_000, 128, 32 * _KIB),
        Files("sources", 3_000, _KIB, 256 * _KIB),
        Files("libraries", 400, 16 * _KIB, 4 * _MIB),
        Files("programs", 24, 4 * _MIB, 24 * _MIB),
        Files("records", 4, 50 * _MIB, 75 * _MIB),
        Files("models", 2, 110 * _MIB, 150 * _MIB),
    ),
)
"""1 GiB as sent, 15,000 files and those of Debian; no two variants share a layer."""

TEN = Image("ten", (_DEBIAN, *(Files(f"part-{n}", 200, 4 * _KIB, _MIB) for n in range(1, 10))), fresh=1)
"""Ten layers, of which the variants have all but the last in common."""

HUGE = Image("huge", (Huge(8704 * _MIB),))
"""A layer of 8 GiB as sent, which no file holds and which nobody should hold in memory."""

MANY = Image("many", (_DEBIAN, Files("small", 90_000, 64, 2 * _KIB)))
"""A Debian tree of 10,000 files, and 90,000 small ones."""

__all__ = [
    "BASE",
    "BIG",
    "COMPILER",
    "COMPILER_LAYER",
    "HUGE",
    "MANY",
    "TEN",
    "TINY",
    "Image",
    "Variant",
    "publish",
    "write_layout",
]
