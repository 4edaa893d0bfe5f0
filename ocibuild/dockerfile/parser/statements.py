"""One logical line to one instruction: a function for each, with its rule as the docstring."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.arguments import (
    Statement,
    blank_separated,
    first_blank,
    json_strings,
    quoted_words,
    split_statement,
)
from ocibuild.dockerfile.parser.cutline import CutLine, command_line
from ocibuild.dockerfile.parser.durations import parse_duration
from ocibuild.dockerfile.parser.flags import FlagSet
from ocibuild.dockerfile.parser.lines import SURROGATE, LogicalLine
from ocibuild.dockerfile.parser.steps import parse_add, parse_copy, parse_run
from ocibuild.dockerfile.shell.space import SPACE
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError
from ocibuild.oci import Healthcheck

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_ASCII_SPACES = re.compile(r"[\t\n\v\f\r ]+")
_ON_BUILD = re.compile(r"[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*", re.IGNORECASE)
_MAY_BE_JSON = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
_MIN_INTERVAL = 1_000_000
_MAX_RETRIES = (1 << 31) - 1
_FROM_FLAGS = FlagSet(("platform",))
_HEALTHCHECK_FLAGS = FlagSet(("interval", "timeout", "start-period", "start-interval", "retries"))


def parse_instruction(line: LogicalLine, *, escape: str) -> ins.Instruction:
    """Return the instruction that ``line`` holds; raises DockerfileError, with the line, where it is wrong."""
    try:
        return _parse(line, escape)
    except DockerfileError as error:
        if error.location is not None:
            raise
        raise DockerfileError(error.message, remedy=error.remedy, location=line.location) from error


def instruction_name(text: str) -> str:
    """Return the name of the instruction that ``text`` holds, in upper case, whether there is such an instruction."""
    return split_statement(text).name.upper()


def _parse(line: LogicalLine, escape: str) -> ins.Instruction:
    statement = split_statement(line.text)
    parser = _parser(statement)
    text = line.text
    if not text.isascii():
        text = _valid(text, statement.name.upper())
        statement = split_statement(text)
    name, flags, rest = statement
    base = (text.strip(SPACE), line.location, name, line.comments)
    return parser(CutLine(name.upper(), flags, rest, escape, base, text, line.documents))


def _valid(text: str, name: str) -> str:
    """Return ``text`` with U+FFFD for what is not UTF-8; a step's text must be all UTF-8, or raises DockerfileError."""
    valid = SURROGATE.sub("\ufffd", text)
    if valid != text and name in {"RUN", "COPY", "ADD"}:
        raise DockerfileError("this instruction is not valid UTF-8")
    return valid


def _parser(statement: Statement) -> Callable[[CutLine], ins.Instruction]:
    parser = _PARSERS.get(statement.name.upper())
    if parser is None:
        shown = statement.name if statement.name and statement.name.isprintable() else repr(statement.name)
        raise DockerfileError(f"unknown instruction {shown}", remedy=did_you_mean(statement.name, _PARSERS))
    return parser


def _from(line: CutLine) -> ins.From:
    """FROM [--platform=PLATFORM] IMAGE [AS NAME]."""
    base, as_keyword, written = _named_stage(blank_separated(line.rest))
    name = written.lower()
    if name and not _STAGE_NAME.fullmatch(name):
        raise DockerfileError(
            f"invalid name for build stage: {written!r}",
            remedy="a name starts with a letter and holds letters, digits, and - _ .",
        )
    return ins.From(*line.base, base, name, line.options(_FROM_FLAGS).values.get("platform"), written, as_keyword)


def _named_stage(parts: Sequence[str]) -> tuple[str, str, str]:
    if len(parts) == 1:
        return parts[0], "", ""
    if len(parts) != 3 or parts[1].lower() != "as":
        raise DockerfileError("FROM requires either one or three arguments", remedy="write FROM IMAGE [AS NAME]")
    return parts[0], parts[1], parts[2]


def _arg(line: CutLine) -> ins.Arg:
    """ARG NAME[=DEFAULT]…, where no flag is looked at."""
    words = quoted_words(line.rest, escape=line.escape)
    _require_some(words, "ARG")
    pairs = tuple((name, value if equals else None) for name, equals, value in (w.partition("=") for w in words))
    if not all(name for name, _ in pairs):
        raise DockerfileError("ARG names cannot be blank")
    return ins.Arg(*line.base, pairs)


def _env(line: CutLine) -> ins.Env:
    """ENV NAME=VALUE… or ENV NAME VALUE."""
    return ins.Env(*line.base, *_pairs(line))


def _label(line: CutLine) -> ins.Label:
    """LABEL NAME=VALUE… or LABEL NAME VALUE."""
    return ins.Label(*line.base, *_pairs(line))


def _pairs(line: CutLine) -> tuple[ins.Pairs, bool]:
    """Return the pairs, and whether they are in the legacy form."""
    pairs, legacy = _cut_pairs(line.name, line.rest, line.escape)
    line.options()
    _require_some(pairs, line.name)
    if not all(name for name, _ in pairs):
        raise DockerfileError(f"{line.name} names cannot be blank")
    return pairs, legacy


def _cut_pairs(name: str, rest: str, escape: str) -> tuple[ins.Pairs, bool]:
    words = quoted_words(rest, escape=escape)
    if words and "=" not in words[0]:
        key, value = first_blank(rest)
        if value is None:
            raise DockerfileError(f"{name} must have two arguments", remedy=f"write {name} NAME=VALUE")
        return ((key, value),), True
    for word in words:
        if "=" not in word:
            raise DockerfileError(f"can't find = in {word!r}", remedy="write NAME=VALUE, with quotes around spaces")
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words)), False


def _cmd(line: CutLine) -> ins.Cmd:
    """CMD COMMAND or ["EXECUTABLE", …]."""
    line.options()
    return ins.Cmd(*line.base, command_line(line.rest))


def _entrypoint(line: CutLine) -> ins.Entrypoint:
    """ENTRYPOINT COMMAND or ["EXECUTABLE", …]."""
    line.options()
    return ins.Entrypoint(*line.base, command_line(line.rest))


def _shell(line: CutLine) -> ins.Shell:
    """SHELL ["EXECUTABLE", …]."""
    line.options()
    args = json_strings(line.rest)
    if args is None and line.rest:
        raise DockerfileError("SHELL requires its arguments in JSON form", remedy='write SHELL ["/bin/bash", "-c"]')
    if not args:
        raise DockerfileError("SHELL requires at least one argument")
    return ins.Shell(*line.base, args)


def _workdir(line: CutLine) -> ins.Workdir:
    """WORKDIR PATH."""
    return ins.Workdir(*line.base, _one_argument(line))


def _user(line: CutLine) -> ins.User:
    """USER NAME[:GROUP]."""
    return ins.User(*line.base, _one_argument(line))


def _stop_signal(line: CutLine) -> ins.StopSignal:
    """STOPSIGNAL SIGNAL, where no flag is looked at."""
    return ins.StopSignal(*line.base, _the_rest(line))


def _maintainer(line: CutLine) -> ins.Maintainer:
    """MAINTAINER NAME."""
    return ins.Maintainer(*line.base, _one_argument(line))


def _one_argument(line: CutLine) -> str:
    line.options()
    return _the_rest(line)


def _the_rest(line: CutLine) -> str:
    if not line.rest:
        raise DockerfileError(f"{line.name} requires exactly one argument")
    return line.rest


def _expose(line: CutLine) -> ins.Expose:
    """EXPOSE PORT[/PROTOCOL]…."""
    line.options()
    ports = blank_separated(line.rest)
    _require_some(ports, "EXPOSE")
    return ins.Expose(*line.base, tuple(sorted(ports)))


def _volume(line: CutLine) -> ins.Volume:
    """VOLUME PATH… or ["PATH", …]."""
    line.options()
    paths = json_strings(line.rest)
    if paths is None:
        paths = blank_separated(line.rest)
    _require_some(paths, "VOLUME")
    paths = tuple(path.strip(SPACE) for path in paths)
    if not all(paths):
        raise DockerfileError("VOLUME cannot be an empty string")
    return ins.Volume(*line.base, paths)


def _healthcheck(line: CutLine) -> ins.HealthCheck:
    """HEALTHCHECK [OPTIONS] CMD COMMAND, or HEALTHCHECK NONE, where no flag is looked at."""
    kind, rest, command = _health_command(line.rest)
    if not kind:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return ins.HealthCheck(*line.base, Healthcheck(test=("NONE",)))
    options = line.options(_HEALTHCHECK_FLAGS)
    if kind.upper() != "CMD":
        raise DockerfileError(f"unknown type {kind!r} in HEALTHCHECK", remedy="use CMD or NONE")
    if not rest or not command.args:
        raise DockerfileError("missing command after HEALTHCHECK CMD")
    test = ("CMD-SHELL" if command.shell_form else "CMD", *command.args)
    intervals = {
        name.replace("-", "_"): _interval(name, options.value(name))
        for name in ("interval", "timeout", "start-period", "start-interval")
    }
    check = Healthcheck(test=test, retries=_retries(options.value("retries")), **intervals)
    return ins.HealthCheck(*line.base, check)


def _health_command(rest: str) -> tuple[str, str, ins.Command]:
    kind, *others = _ASCII_SPACES.split(rest, maxsplit=1)
    text = "".join(others)
    return kind, text, command_line(text)


def _interval(name: str, value: str) -> int:
    duration = parse_duration(value) if value else 0
    if duration and duration < _MIN_INTERVAL:
        raise DockerfileError(f"HEALTHCHECK --{name} cannot be less than 1ms")
    return duration


def _retries(value: str) -> int:
    if not value:
        return 0
    if not re.fullmatch(r"\+?\d{1,20}", value, re.ASCII) or int(value) > _MAX_RETRIES:
        raise DockerfileError(f"HEALTHCHECK --retries must be a number that is not negative, not {value!r}")
    return int(value)


def _on_build(line: CutLine) -> ins.OnBuild:
    """ONBUILD INSTRUCTION, which is not looked at much before a build stands on it."""
    if not line.rest:
        raise DockerfileError("ONBUILD requires at least one argument")
    line.options()
    statement = split_statement(line.rest)
    name = statement.name.upper()
    if name == "ONBUILD":
        raise DockerfileError("chaining ONBUILD via ONBUILD ONBUILD is not allowed")
    if name in {"FROM", "MAINTAINER"}:
        raise DockerfileError(f"{name} is not allowed as an ONBUILD trigger")
    _check_trigger(name, statement.rest, line.escape)
    documents = [f"\n{document.raw}{document.name}" for document in line.documents]
    return ins.OnBuild(*line.base, "".join([_ON_BUILD.sub("", line.text, count=1).rstrip("\r"), *documents]))


def _check_trigger(name: str, rest: str, escape: str) -> None:
    """Raise DockerfileError for a trigger whose text does not have the form of its instruction."""
    if name in {"ENV", "LABEL"}:
        _cut_pairs(name, rest, escape)
    elif name == "HEALTHCHECK":
        _health_command(rest)
    elif name in _MAY_BE_JSON:
        json_strings(rest)


def _require_some(words: Sequence[object], instruction: str) -> None:
    if not words:
        raise DockerfileError(f"{instruction} requires at least one argument")


_PARSERS: dict[str, Callable[[CutLine], ins.Instruction]] = {
    "ADD": parse_add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": parse_copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _on_build,
    "RUN": parse_run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
