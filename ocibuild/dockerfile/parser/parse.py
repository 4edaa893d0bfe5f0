"""The text of a Dockerfile to its stages."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile.parser.directives import Directives, parse_directives
from ocibuild.dockerfile.parser.heredocs import with_documents
from ocibuild.dockerfile.parser.instructions import Arg, From
from ocibuild.dockerfile.parser.lines import LineReader, split_lines
from ocibuild.dockerfile.parser.statements import instruction_name, parse_instruction
from ocibuild.errors import DockerfileError, DockerfileErrors, SourceRange
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.dockerfile.parser.instructions import Instruction, StageInstruction

MAX_ERRORS = 20
"""After how many wrong instructions the rest of a file is not looked at."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A FROM and the instructions up to the next one; ``index`` counts from 0."""

    index: int
    start: From
    instructions: tuple[StageInstruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile: at least one stage, the ARGs before the first, and what its directives say.

    ``blank_continuations`` are the last lines of the instructions that have a blank line inside them.
    """

    file: str
    directives: Directives
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    blank_continuations: tuple[SourceRange, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """Return the text of a Dockerfile that says the same."""
        from ocibuild.dockerfile.parser.printer import print_dockerfile

        return print_dockerfile(self)


def parse(text: bytes, *, file: str) -> Dockerfile:
    """Parse the content of ``file``, which is a name for messages only.

    Takes time in proportion to the length of ``text``. Raises DockerfileError, with the range of lines, for what
    cannot be understood, and DockerfileErrors where that is more than one instruction.
    """
    lines = split_lines(text)
    directives = parse_directives(lines, file=file)
    reader = LineReader(lines, escape=directives.escape, file=file, directives=directives.count)
    parser = _Parser(reader, directives)
    while parser.step():
        pass
    if parser.faults:
        raise parser.faults[0] if len(parser.faults) == 1 else DockerfileErrors(tuple(parser.faults))
    if not parser.stages:
        where = SourceRange(file, max(len(lines), 1), max(len(lines), 1))
        raise DockerfileError("there is no build stage", remedy="a Dockerfile needs a FROM instruction", location=where)
    stages = tuple(Stage(index, start, tuple(body)) for index, (start, body) in enumerate(parser.stages))
    return Dockerfile(file, directives, tuple(parser.global_args), stages, tuple(parser.blank_continuations))


class _Parser:
    """Sorts instructions into stages, and keeps what is wrong with them for the end."""

    def __init__(self, reader: LineReader, directives: Directives) -> None:
        self._reader = reader
        self._escape = directives.escape
        self._staged = False
        self.faults: list[DockerfileError] = []
        self.global_args: list[Arg] = []
        self.stages: list[tuple[From, list[StageInstruction]]] = []
        self.blank_continuations: list[SourceRange] = []

    def step(self) -> bool:
        """Read one more instruction; return whether there may be another."""
        try:
            line = self._reader.next()
        except DockerfileError as error:
            return self._fault(error)
        if line is None:
            return False
        if line.blank_continuation:
            self.blank_continuations.append(line.location.last_line())
        try:
            line = with_documents(line, self._reader)
        except DockerfileError as error:  # where its documents end is not known
            self.faults.append(error)
            return False
        try:
            self._add(parse_instruction(line, escape=self._escape))
        except DockerfileError as error:
            self._staged |= instruction_name(line.text) == "FROM"
            return self._fault(error)
        return True

    def _fault(self, error: DockerfileError) -> bool:
        self.faults.append(error)
        return len(self.faults) < MAX_ERRORS

    def _add(self, instruction: Instruction) -> None:
        if isinstance(instruction, From):
            self._staged = True
            self.stages.append((instruction, []))
        elif self.stages:
            self.stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            self.global_args.append(instruction)
        elif not self._staged and not self.faults:
            raise DockerfileError("no build stage yet: only ARG may stand before FROM", location=instruction.location)


def parse_trigger(text: str, *, location: SourceRange) -> StageInstruction:
    """Return the one instruction that an ONBUILD trigger holds, as if it stood at ``location``.

    Raises DockerfileError for one that is not allowed there, or for more than one.
    """
    try:
        instruction = _sole_instruction(text, location)
    except DockerfileError as error:
        message = f"in the ONBUILD trigger {text!r}: {error.message}"
        raise DockerfileError(message, remedy=error.remedy, location=location) from error
    return replace(instruction, location=location)


def _sole_instruction(text: str, location: SourceRange) -> StageInstruction:
    lines = split_lines(text.encode("utf-8", "surrogateescape"))
    directives = parse_directives(lines, file=location.file)
    reader = LineReader(lines, escape=directives.escape, file=location.file, directives=directives.count)
    line = reader.next()
    if line is None:
        raise DockerfileError("it is not a single instruction")
    line = with_documents(line, reader)
    if reader.next() is not None:
        raise DockerfileError("it is not a single instruction")
    instruction = parse_instruction(line, escape=directives.escape)
    if isinstance(instruction, From):
        raise DockerfileError("FROM is not allowed as an ONBUILD trigger")
    return instruction
