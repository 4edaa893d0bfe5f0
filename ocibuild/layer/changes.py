"""What a step did to the tree, as plain values; ``name`` is relative to the root, ``.`` for the root itself."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.values import dataclass

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True)
class Changed:
    """``name`` is new or different; of a directory this is the directory alone, not what it holds.

    ``status`` is that of what is there now, where whoever found the change has it at hand.
    """

    name: str
    status: os.stat_result | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Removed:
    """``name`` is gone, with what it held."""

    name: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """Nothing that the directory ``name`` held before is left; what it holds now has changes of its own."""

    name: str


Change: TypeAlias = Changed | Removed | Opaque
