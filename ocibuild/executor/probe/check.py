"""One thing that was tried, and the place where it is tried."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor.probe.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried: whether it worked, what was seen, and what to change where it did not.

    ``value`` is what was found in a word, such as a version, for those checks that look for more than yes or no.
    """

    name: str
    passed: bool
    evidence: str
    remedy: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where checks are made: an empty directory on the store's file system, of the kind ``file_system``.

    ``find_proot`` returns the path of the one that a build would take; it may raise SandboxError.
    """

    folder: str
    file_system: str
    surroundings: Surroundings
    find_proot: Callable[[], str | None]

    def new_folder(self, name: str) -> str:
        """Make a directory that one check has for itself."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path
