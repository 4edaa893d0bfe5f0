"""What rules about an instruction look at beside the instruction."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.dockerfile.lint.watching import Speller, expand_watched
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.dockerfile.conversion.options import Seen
    from ocibuild.dockerfile.parser.instructions import Instruction


@dataclass(slots=True)
class StageNotes:
    """What the instructions before have left: ``used`` has the last one of each kind of which only one counts."""

    workdir_set: bool = False
    used: dict[type[Instruction], Instruction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds for a whole Dockerfile; ``ignored`` says of a path whether .dockerignore leaves it out."""

    build_args: Mapping[str, str]
    ignored: Callable[[str], bool]
    escape: str = "\\"
    speller: Speller = field(default_factory=Speller)

    def expanded(self, word: str, seen: Seen) -> str:
        """Return ``word`` with its variables replaced, empty where that is an error."""
        return expand_watched(word, seen.variables, escape=self.escape)[0] or ""
