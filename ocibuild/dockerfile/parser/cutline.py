"""An instruction's line as its own parser gets it: cut into flags and the rest, with what all instructions share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.parser.arguments import json_strings
from ocibuild.dockerfile.parser.flags import NO_FLAGS, Flags, FlagSet, parse_flags
from ocibuild.dockerfile.parser.instructions import Command
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from ocibuild.dockerfile.parser.instructions import Heredoc
    from ocibuild.errors import SourceRange


class CutLine(NamedTuple):
    """A line cut up.

    ``name`` is in upper case. ``rest`` is what stands after name and flags. ``base`` is what begins every instruction's
    fields: text, location, keyword and comments. ``text`` is the line with the blanks at its ends. ``documents`` are
    the heredocs that it opens.
    """

    name: str
    flags: tuple[str, ...]
    rest: str
    escape: str
    base: tuple[str, SourceRange, str, tuple[str, ...]]
    text: str
    documents: tuple[Heredoc, ...]

    def options(self, known: FlagSet = NO_FLAGS) -> Flags:
        """Return what the flags say; raises DockerfileError for what ``known`` does not allow."""
        return parse_flags(self.flags, known, instruction=self.name)


def command_line(rest: str) -> Command:
    """Return the command that ``rest`` is: of exec form where it is a JSON array, else of shell form."""
    args = json_strings(rest)
    return Command((rest,), shell_form=True) if args is None else Command(args, shell_form=False)
