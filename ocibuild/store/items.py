"""What can be pruned, as plain data."""

from __future__ import annotations

from enum import Enum

from ocibuild.values import dataclass


class Kind(Enum):
    """What something is, by BuildKit's names where it has one."""

    STEP = "regular"
    LAYER = "layer"
    CACHE = "exec.cachemount"
    REPOSITORY = "source.git.checkout"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Item:
    """Something that takes ``size`` bytes; times are in nanoseconds since 1970.

    ``shared`` is what an image of the store has too; ``in_use`` what somebody works with now; ``blob`` the digest of a
    blob that nothing names once it is gone.
    """

    kind: Kind
    id: str
    size: int
    created: int
    used: int
    label: str
    shared: bool = False
    in_use: bool = False
    blob: str | None = None
