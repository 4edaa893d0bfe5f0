"""What every contestant can do."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Command


class Kind(StrEnum):
    """Whose time it is, for targets."""

    OCIBUILD = "ocibuild"
    BUILDKIT = "BuildKit"
    BUILDAH = "buildah"


class Contestant(Protocol):
    """A builder with a store of its own. ``name`` is unique in a run."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    def version(self) -> str:
        """Return name and version of what takes part, and how it is run."""
        ...

    def daemons(self) -> Sequence[int]:
        """Return the processes that work for the contestant and were there before its command."""
        ...

    def empty(self) -> None:
        """Forget everything that was ever pulled, built or cached."""
        ...

    def build(self, context: str, tag: str) -> Command:
        """Return the command that builds the context's Dockerfile into the contestant's store."""
        ...
