"""What every contestant can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Command


class Contestant(ABC):
    """A builder with a store of its own. ``name`` is unique in a run; targets are for those that are ``ours``."""

    name: str
    ours = False

    @abstractmethod
    def version(self) -> str:
        """Return name and version of what takes part, and how it is run."""

    @abstractmethod
    def empty(self) -> None:
        """Forget everything that was ever pulled, built or cached. Raises CommandFailed."""

    @abstractmethod
    def build(self, context: str, tag: str) -> Command:
        """Return the command that builds the context's Dockerfile into the contestant's store."""

    def daemons(self) -> Sequence[int]:
        """Return the processes that work for the contestant and were there before its command."""
        return ()
