"""The text of a Dockerfile to its stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile.directives import Directives, parse_directives
from ocibuild.dockerfile.instructions import Arg, From, Maintainer
from ocibuild.dockerfile.lines import logical_lines, split_lines
from ocibuild.dockerfile.statements import parse_instruction
from ocibuild.errors import DockerfileError, SourceRange

if TYPE_CHECKING:
    from ocibuild.dockerfile.instructions import StageInstruction


@dataclass(frozen=True, slots=True)
class Stage:
    """A FROM and the instructions up to the next one; ``index`` counts from 0."""

    index: int
    start: From
    instructions: tuple[StageInstruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile: at least one stage, the ARGs before the first, and what its directives say."""

    file: str
    directives: Directives
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...] = ()


def parse(text: bytes, *, file: str) -> Dockerfile:
    """Parse the content of ``file``, which is a name for messages only.

    Takes time in proportion to the length of ``text``. Raises DockerfileError, with the range of lines, for what
    cannot be understood and, by name, for what is not built yet.
    """
    lines = split_lines(text)
    directives = parse_directives(lines, file=file)
    global_args: list[Arg] = []
    stages: list[tuple[From, list[StageInstruction]]] = []
    warnings: list[str] = []
    for line in logical_lines(lines, escape=directives.escape, file=file):
        instruction = parse_instruction(line, escape=directives.escape)
        if line.blank_continuation:
            warnings.append(f"{line.location}: empty continuation line")
        if isinstance(instruction, Maintainer):
            warnings.append(f"{line.location}: MAINTAINER is deprecated (use LABEL org.opencontainers.image.authors)")
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise DockerfileError("no build stage yet: only ARG may stand before FROM", location=instruction.location)
    if not stages:
        _no_stages(lines, file)
    parsed = tuple(Stage(index, start, tuple(body)) for index, (start, body) in enumerate(stages))
    return Dockerfile(file, directives, tuple(global_args), parsed, tuple(warnings))


def _no_stages(lines: list[str], file: str) -> None:
    where = SourceRange(file, 1, max(len(lines), 1))
    raise DockerfileError("there is no build stage", remedy="a Dockerfile needs a FROM instruction", location=where)


def parse_trigger(text: str, *, location: SourceRange) -> StageInstruction:
    """Return the one instruction that an ONBUILD trigger holds, as if it stood at ``location``.

    Raises DockerfileError for one that is not allowed there, or for more than one.
    """
    lines = text.split("\n")
    found = list(logical_lines(lines, escape="\\", file=location.file))
    if len(found) != 1:
        raise DockerfileError(f"the ONBUILD trigger {text!r} is not a single instruction", location=location)
    try:
        instruction = parse_instruction(found[0]._replace(location=location), escape="\\")
    except DockerfileError as error:
        message = f"in the ONBUILD trigger {text!r}: {error.message}"
        raise DockerfileError(message, remedy=error.remedy, location=location) from error
    if isinstance(instruction, From):
        raise DockerfileError("FROM is not allowed as an ONBUILD trigger", location=location)
    return replace(instruction, location=location)
