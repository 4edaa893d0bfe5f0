"""Rules about how a Dockerfile is written: what they need stands in it, whatever it is built with."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.goformat import quote
from ocibuild.dockerfile.lint import rules
from ocibuild.dockerfile.parser.instructions import Arg, From, Maintainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.dockerfile.lint.rules import Finding
    from ocibuild.dockerfile.parser.instructions import Instruction
    from ocibuild.dockerfile.parser.parse import Dockerfile, Stage

_RESERVED = frozenset({"context", "scratch"})


def text_findings(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Yield what is found in a whole Dockerfile."""
    yield from instruction_findings(dockerfile)
    yield from stage_names(dockerfile.stages)
    yield from instruction_casing(dockerfile.stages)


def instruction_findings(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Yield what is found in each instruction alone: also where others of the file cannot be read."""
    yield from empty_continuations(dockerfile)
    for instruction in chain(dockerfile.global_args, *map(_instructions, dockerfile.stages)):
        match instruction:
            case From():
                yield from stage_name_casing(instruction)
                yield from from_as_casing(instruction)
                yield from definition_description(instruction, "FROM", (instruction.name,) * bool(instruction.name))
            case Arg():
                yield from definition_description(instruction, "ARG", [name for name, _ in instruction.pairs])
            case Maintainer():
                yield from maintainer_deprecated(instruction)


def _instructions(stage: Stage) -> tuple[Instruction, ...]:
    return (stage.start, *stage.instructions)


def empty_continuations(dockerfile: Dockerfile) -> Iterator[Finding]:
    """NoEmptyContinuation: no blank line inside an instruction; the last line of the instruction is shown."""
    for location in dockerfile.blank_continuations:
        yield rules.NO_EMPTY_CONTINUATION.at(location, "Empty continuation line")


def stage_name_casing(start: From) -> Iterator[Finding]:
    """StageNameCasing: a stage's name is in lower case."""
    name = start.name_as_written
    if name != name.lower():
        yield rules.STAGE_NAME_CASING.at(start.location, f"Stage name '{name}' should be lowercase")


def from_as_casing(start: From) -> Iterator[Finding]:
    """FromAsCasing: AS is written in the case of FROM, unless FROM itself is in mixed case."""
    keyword, as_keyword = start.keyword, start.as_keyword
    if keyword not in {keyword.lower(), keyword.upper()}:
        return
    if as_keyword != (as_keyword.lower() if keyword == keyword.lower() else as_keyword.upper()):
        yield rules.FROM_AS_CASING.at(start.location, f"'{as_keyword}' and '{keyword}' keywords' casing do not match")


def definition_description(instruction: From | Arg, kind: str, names: Sequence[str]) -> Iterator[Finding]:
    """InvalidDefinitionDescription: the comment right above FROM or ARG begins with what is defined there."""
    if not names or not instruction.comments or instruction.comments[-1].split(" ")[0] in names:
        return
    name = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {kind} should follow the format: `# {name} <description>`"
    yield rules.INVALID_DEFINITION_DESCRIPTION.at(instruction.location, message)


def maintainer_deprecated(instruction: Maintainer) -> Iterator[Finding]:
    """MaintainerDeprecated: a label names the author."""
    message = "Maintainer instruction is deprecated in favor of using label"
    yield rules.MAINTAINER_DEPRECATED.at(instruction.location, message)


def stage_names(stages: Sequence[Stage]) -> Iterator[Finding]:
    """ReservedStageName and DuplicateStageName: no stage has a name with a meaning of its own, or another's."""
    known: set[str] = set()
    for start in (stage.start for stage in stages if stage.start.name):
        if start.name in _RESERVED:
            message = f"Stage name should not use the same name as reserved stage {quote(start.name)}"
            yield rules.RESERVED_STAGE_NAME.at(start.location, message)
        if start.name in known:
            message = f"Duplicate stage name {quote(start.name)}, stage names should be unique"
            yield rules.DUPLICATE_STAGE_NAME.at(start.location, message)
        known.add(start.name)


def instruction_casing(stages: Sequence[Stage]) -> Iterator[Finding]:
    """ConsistentInstructionCasing: all names of instructions are in lower, or all in upper case, as most are."""
    instructions = list(chain.from_iterable(map(_instructions, stages)))
    keywords = [instruction.keyword for instruction in instructions]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() for keyword in keywords)
    convert, casing = (str.lower, "lowercase") if lower > upper else (str.upper, "uppercase")
    for instruction in instructions:
        if instruction.keyword != convert(instruction.keyword):
            message = f"Command '{instruction.keyword}' should match the case of the command majority ({casing})"
            yield rules.CONSISTENT_INSTRUCTION_CASING.at(instruction.location, message)
