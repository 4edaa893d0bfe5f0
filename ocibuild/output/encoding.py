"""How the layers and documents of an image are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.oci import Compression


@dataclass(frozen=True, slots=True)
class Encoding:
    """What is asked of an image beyond its content; as it is unless something is.

    ``compression`` is that of the layers that were built, of all with ``force``, at a ``level`` of the compressor's own
    scale, None for the usual one. ``is_oci`` is whether media types are OCI's, not docker's. With ``rewrites_times`` no
    file of the layers that were built has a later time than SOURCE_DATE_EPOCH. ``is_estargz`` says that layers of gzip
    are to be eStargz.
    """

    compression: Compression | None = None
    level: int | None = None
    force: bool = False
    is_oci: bool = True
    rewrites_times: bool = False
    is_estargz: bool = False
