"""Instructions back to text, such that parsing the text gives the same instructions again.

What is not kept in an instruction is written in the plainest way: one blank between words, one line for each
instruction, no flag that says what holds anyway. Bytes that were not UTF-8 are surrogate escapes, as in the values.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, assert_never

from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.arguments import json_strings
from ocibuild.dockerfile.parser.heredocs import find_openers
from ocibuild.dockerfile.parser.lines import is_continued
from ocibuild.dockerfile.shell.space import SPACE
from ocibuild.errors import DockerfileError
from ocibuild.graph import Network, Security

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.oci import Healthcheck

_WIDTH = 16_000  # characters, which are at most MAX_LINE bytes
_SPACES = re.compile(f"[{SPACE}]")
_SPECIAL = re.compile(r"[\\'\"$<\t\v\f\r ]")
_LOOSE = re.compile(r"[\\\"\t\v\f\r ]")


def print_dockerfile(dockerfile: Dockerfile) -> str:
    """Return the text of a Dockerfile that says the same as ``dockerfile``."""
    directives = dockerfile.directives
    lines = [f"# escape={directives.escape}\n"] if directives.escape != "\\" else []
    lines += [
        f"# {name}={value}\n"
        for name, value in (("syntax", directives.syntax), ("check", directives.check))
        if value is not None
    ]
    instructions: list[ins.Instruction] = [*dockerfile.global_args]
    for stage in dockerfile.stages:
        instructions += [stage.start, *stage.instructions]
    if instructions[0].comments:
        lines.append("\n")  # or the first of them might be taken for a directive
    return "".join(lines + [print_instruction(item, escape=directives.escape) for item in instructions])


def print_instruction(instruction: ins.Instruction, *, escape: str) -> str:
    """Return the lines of one instruction, with the comments above it and the documents after it."""
    comments = "".join([f"# {comment}\n" for comment in instruction.comments])
    if isinstance(instruction, ins.OnBuild):
        first, _, others = instruction.trigger.partition("\n")
        return comments + _wrapped(f"{instruction.keyword} {first}", escape) + (others and f"{others}\n")
    rest = _rest(instruction)
    documents = instruction.heredocs if isinstance(instruction, (ins.Run, ins.Copy, ins.Add)) else ()
    line = ""
    for special in (_SPECIAL, _LOOSE):
        flags = [_flag(name, value, special) for name, value in _flags(instruction)]
        guard = ["--"] if rest.startswith("--") else []
        line = " ".join([instruction.keyword, *flags, *guard, *([rest] if rest else [])])
        if isinstance(instruction, ins.Run) and len(_openers(instruction, line)) == len(documents):
            break
    return comments + _wrapped(line, escape) + "".join(_documents(instruction, line, rest, documents))


def _openers(instruction: ins.Instruction, line: str) -> list[str]:
    if isinstance(instruction, ins.Run) and not instruction.command.shell_form:
        return []
    return [opener.name for opener in find_openers(line)]


def _documents(instruction: ins.Instruction, line: str, rest: str, documents: Sequence[ins.Heredoc]) -> Iterator[str]:
    """Yield the documents that ``line`` opens: of COPY and ADD the last one of a name counts, others are empty."""
    if isinstance(instruction, ins.Run):
        yield from (f"{document.raw}{document.name}\n" for document in documents)
    elif isinstance(instruction, (ins.Copy, ins.Add)) and not _is_json(rest):
        raw = {document.name: document.raw for document in documents}
        names = _openers(instruction, line)
        last = {name: index for index, name in enumerate(names)}
        for index, name in enumerate(names):
            yield (raw.get(name, "") if index == last[name] else "") + f"{name}\n"


def _is_json(rest: str) -> bool:
    try:
        return json_strings(rest) is not None
    except DockerfileError:
        return True


def _flag(name: str, value: str | None, special: re.Pattern[str]) -> str:
    if value is None:
        return f"--{name}"
    escaped = special.sub(r"\\\g<0>", value.encode("latin-1").decode())
    return f"--{name}={escaped}" if special is _SPECIAL else f"--{name}=" + escaped.replace("'", r"'\''")


def _flags(instruction: ins.Instruction) -> Iterator[tuple[str, str | None]]:
    match instruction:
        case ins.From(platform=str(platform)):
            yield "platform", platform
        case ins.Run():
            yield from (("mount", mount) for mount in instruction.mounts)
            if instruction.network is not Network.DEFAULT:
                yield "network", instruction.network.value
            if instruction.security is not Security.SANDBOX:
                yield "security", instruction.security.value
        case ins.Copy():
            yield from _given(("from", instruction.from_))
            yield from _copy_flags(instruction)
            yield from _switches(("parents", instruction.parents or None))
        case ins.Add():
            yield from _copy_flags(instruction)
            yield from _given(("checksum", instruction.checksum))
            yield from _switches(("keep-git-dir", instruction.keep_git_dir), ("unpack", instruction.unpack))
        case ins.HealthCheck():
            yield from _health_flags(instruction.check)


def _copy_flags(instruction: ins.Copy | ins.Add) -> Iterator[tuple[str, str | None]]:
    yield from _given(("chown", instruction.owner), ("chmod", instruction.mode))
    yield from _switches(("link", instruction.link or None))
    yield from (("exclude", pattern) for pattern in instruction.exclude)


def _given(*flags: tuple[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in flags if value)


def _switches(*flags: tuple[str, bool | None]) -> Iterator[tuple[str, str | None]]:
    return ((name, None if value else "false") for name, value in flags if value is not None)


def _health_flags(check: Healthcheck) -> Iterator[tuple[str, str]]:
    for name in ("interval", "timeout", "start-period", "start-interval"):
        nanoseconds = getattr(check, name.replace("-", "_"))
        if nanoseconds:
            yield name, f"{nanoseconds}ns"
    if check.retries:
        yield "retries", str(check.retries)


def _rest(instruction: ins.Instruction) -> str:
    match instruction:
        case ins.From():
            name = [instruction.as_keyword, instruction.name_as_written] if instruction.name else []
            return " ".join([instruction.base, *name])
        case ins.Arg():
            return " ".join([name if value is None else f"{name}={value}" for name, value in instruction.pairs])
        case ins.Env() | ins.Label():
            return _pairs(instruction)
        case ins.Run() | ins.Cmd() | ins.Entrypoint():
            return _command(instruction.command)
        case ins.Copy() | ins.Add():
            return _sources(instruction)
        case ins.Shell():
            return _json(instruction.args)
        case ins.Expose():
            return " ".join(instruction.ports)
        case ins.Volume():
            return _json(instruction.paths) if _needs_json(instruction.paths) else " ".join(instruction.paths)
        case ins.HealthCheck():
            return _health_command(instruction.check)
        case ins.OnBuild():
            return instruction.trigger
        case ins.Workdir():
            return instruction.path
        case ins.User():
            return instruction.user
        case ins.StopSignal():
            return instruction.signal
        case ins.Maintainer():
            return instruction.name
        case _ as never:
            assert_never(never)


def _pairs(instruction: ins.Env | ins.Label) -> str:
    if not instruction.legacy:
        return " ".join([f"{name}={value}" for name, value in instruction.pairs])
    ((name, value),) = instruction.pairs
    blank = "  " if name.endswith(("\\", "`")) else " "  # an escape character takes a blank with it
    return f"{name}{blank}{value}"


def _command(command: ins.Command) -> str:
    return command.args[0] if command.shell_form else _json(command.args)


def _health_command(check: Healthcheck) -> str:
    kind, *args = check.test
    if kind == "NONE":
        return kind
    return f"CMD {args[0] if kind == 'CMD-SHELL' else _json(args)}"


def _sources(instruction: ins.Copy | ins.Add) -> str:
    openers = [document.opener for document in instruction.heredocs]
    words = [*instruction.sources, *openers, instruction.destination]
    if _needs_json(words) and not any(document.raw for document in instruction.heredocs):
        return _json(words)
    return " ".join(words)


def _needs_json(words: Sequence[str]) -> bool:
    if not all(words) or any(map(_SPACES.search, words)):
        return True
    return _is_json(" ".join(words))


def _json(args: Sequence[str]) -> str:
    return json.dumps(list(args), ensure_ascii=False)


def _wrapped(line: str, escape: str) -> str:
    """Return ``line`` with its end, cut up where it is longer than a line may be."""
    if is_continued(line, escape):
        line += "\v"
    parts = []
    start = 0
    while len(line) - start > _WIDTH:
        cut = next((cut for cut in range(start + _WIDTH, start, -1) if _can_be_cut(line, cut, escape)), None)
        if cut is None:
            break
        parts.append(line[start:cut])
        start = cut
    return f"{escape}\n".join([*parts, line[start:]]) + "\n"


def _can_be_cut(line: str, cut: int, escape: str) -> bool:
    return line[cut - 1] != escape and line[cut] not in SPACE and line[cut] != "#"
