"""One logical line to one instruction: a function for each, with its rule as the docstring."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ocibuild.dockerfile import instructions as ins
from ocibuild.dockerfile.arguments import (
    Statement,
    blank_separated,
    first_blank,
    first_heredoc,
    json_strings,
    quoted_words,
    split_statement,
)
from ocibuild.dockerfile.durations import parse_duration
from ocibuild.dockerfile.flags import NO_FLAGS, FlagSet, parse_flags
from ocibuild.dockerfile.lines import SPACE
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError
from ocibuild.graph import Network
from ocibuild.oci import Healthcheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.dockerfile.lines import LogicalLine
    from ocibuild.errors import SourceRange

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_MIN_INTERVAL = 1_000_000
_MAX_RETRIES = (1 << 31) - 1
_FROM_FLAGS = FlagSet(("platform",))
_RUN_FLAGS = FlagSet(("network",), unbuilt=("mount", "security", "device"))
_COPY_FLAGS = FlagSet(("from", "chown", "chmod"), unbuilt=("link", "parents", "exclude"))
_ADD_FLAGS = FlagSet(("chown", "chmod"), unbuilt=("link", "exclude", "checksum", "keep-git-dir", "unpack"))
_HEALTHCHECK_FLAGS = FlagSet(("interval", "timeout", "start-period", "start-interval", "retries"))


class _Line(NamedTuple):
    """What every parser below gets: the cut line, and what all instructions share."""

    name: str
    flags: tuple[str, ...]
    rest: str
    escape: str
    text: str
    location: SourceRange

    def options(self, known: FlagSet = NO_FLAGS) -> dict[str, str]:
        if not self.flags:
            return {}
        return parse_flags(self.flags, known, instruction=self.name)


def parse_instruction(line: LogicalLine, *, escape: str) -> ins.Instruction:
    """Return the instruction that ``line`` holds; raises DockerfileError, with the line, where it is wrong."""
    try:
        return _parse(line.text, line.location, escape)
    except DockerfileError as error:
        if error.location is not None:
            raise
        raise DockerfileError(error.message, remedy=error.remedy, location=line.location) from error


def _parse(text: str, location: SourceRange, escape: str) -> ins.Instruction:
    statement = split_statement(text)
    parser = _parser(statement)
    line = _Line(statement.name.upper(), statement.flags, statement.rest, escape, text.strip(SPACE), location)
    return parser(line)


def _parser(statement: Statement) -> Callable[[_Line], ins.Instruction]:
    parser = _PARSERS.get(statement.name.upper())
    if parser is None:
        raise DockerfileError(f"unknown instruction {statement.name}", remedy=did_you_mean(statement.name, _PARSERS))
    return parser


def _from(line: _Line) -> ins.From:
    """FROM [--platform=PLATFORM] IMAGE [AS NAME]."""
    parts = blank_separated(line.rest)
    name = ""
    if len(parts) == 3 and parts[1].lower() == "as":
        name = parts[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise DockerfileError(
                f"invalid name for build stage: {parts[2]!r}",
                remedy="a name starts with a letter and holds letters, digits, and - _ .",
            )
    elif len(parts) != 1:
        raise DockerfileError("FROM requires either one or three arguments", remedy="write FROM IMAGE [AS NAME]")
    return ins.From(line.text, line.location, parts[0], name, line.options(_FROM_FLAGS).get("platform"))


def _arg(line: _Line) -> ins.Arg:
    """ARG NAME[=DEFAULT]…."""
    line.options()
    words = quoted_words(line.rest, escape=line.escape)
    _require_some(words, "ARG")
    pairs = tuple((name, value if equals else None) for name, equals, value in (w.partition("=") for w in words))
    if not all(name for name, _ in pairs):
        raise DockerfileError("ARG names cannot be blank")
    return ins.Arg(line.text, line.location, pairs)


def _env(line: _Line) -> ins.Env:
    """ENV NAME=VALUE… or ENV NAME VALUE."""
    return ins.Env(line.text, line.location, _pairs(line))


def _label(line: _Line) -> ins.Label:
    """LABEL NAME=VALUE… or LABEL NAME VALUE."""
    return ins.Label(line.text, line.location, _pairs(line))


def _pairs(line: _Line) -> ins.Pairs:
    line.options()
    words = quoted_words(line.rest, escape=line.escape)
    _require_some(words, line.name)
    if "=" not in words[0]:
        name, value = first_blank(line.rest)
        if value is None:
            raise DockerfileError(f"{line.name} must have two arguments", remedy=f"write {line.name} NAME=VALUE")
        return ((name, value),)
    for word in words:
        if "=" not in word:
            raise DockerfileError(f"can't find = in {word!r}", remedy="write NAME=VALUE, with quotes around spaces")
    pairs = tuple((name, value) for name, _, value in (word.partition("=") for word in words))
    if not all(name for name, _ in pairs):
        raise DockerfileError(f"{line.name} names cannot be blank")
    return pairs


def _run(line: _Line) -> ins.Run:
    """RUN [--network=MODE] COMMAND or ["EXECUTABLE", …]."""
    options = line.options(_RUN_FLAGS)
    command = _command(line.rest)
    if command.shell_form:
        _refuse_heredocs(line)
    if not command.args:
        raise DockerfileError("RUN requires a command")
    return ins.Run(line.text, line.location, command, _network(options.get("network", "default")))


def _network(mode: str) -> Network:
    try:
        return Network(mode)
    except ValueError:
        raise DockerfileError(f"invalid network mode {mode!r}", remedy="use default, none or host") from None


def _command(rest: str) -> ins.Command:
    args = json_strings(rest)
    return ins.Command((rest,), shell_form=True) if args is None else ins.Command(args, shell_form=False)


def _copy(line: _Line) -> ins.Copy:
    """COPY [--from=STAGE] [--chown=OWNER] [--chmod=MODE] SOURCE… DESTINATION."""
    sources, destination = _sources(line)
    options = line.options(_COPY_FLAGS)
    from_, owner, mode = (options.get(name, "") for name in ("from", "chown", "chmod"))
    return ins.Copy(line.text, line.location, sources, destination, from_, owner, mode)


def _add(line: _Line) -> ins.Add:
    """ADD [--chown=OWNER] [--chmod=MODE] SOURCE… DESTINATION."""
    sources, destination = _sources(line)
    options = line.options(_ADD_FLAGS)
    return ins.Add(line.text, line.location, sources, destination, options.get("chown", ""), options.get("chmod", ""))


def _sources(line: _Line) -> tuple[tuple[str, ...], str]:
    parts = json_strings(line.rest)
    if parts is None:
        _refuse_heredocs(line)
        parts = blank_separated(line.rest)
    if len(parts) < 2:
        raise DockerfileError(f"{line.name} requires at least two arguments", remedy="name a source and a destination")
    return parts[:-1], parts[-1]


def _refuse_heredocs(line: _Line) -> None:
    name = first_heredoc(line.rest)
    if name is not None:
        raise DockerfileError(f"heredocs are not built yet (<<{name})")


def _cmd(line: _Line) -> ins.Cmd:
    """CMD COMMAND or ["EXECUTABLE", …]."""
    line.options()
    return ins.Cmd(line.text, line.location, _command(line.rest))


def _entrypoint(line: _Line) -> ins.Entrypoint:
    """ENTRYPOINT COMMAND or ["EXECUTABLE", …]."""
    line.options()
    return ins.Entrypoint(line.text, line.location, _command(line.rest))


def _shell(line: _Line) -> ins.Shell:
    """SHELL ["EXECUTABLE", …]."""
    line.options()
    args = json_strings(line.rest)
    if args is None and line.rest:
        raise DockerfileError("SHELL requires its arguments in JSON form", remedy='write SHELL ["/bin/bash", "-c"]')
    if not args:
        raise DockerfileError("SHELL requires at least one argument")
    return ins.Shell(line.text, line.location, args)


def _workdir(line: _Line) -> ins.Workdir:
    """WORKDIR PATH."""
    return ins.Workdir(line.text, line.location, _one_argument(line))


def _user(line: _Line) -> ins.User:
    """USER NAME[:GROUP]."""
    return ins.User(line.text, line.location, _one_argument(line))


def _stop_signal(line: _Line) -> ins.StopSignal:
    """STOPSIGNAL SIGNAL."""
    return ins.StopSignal(line.text, line.location, _one_argument(line))


def _maintainer(line: _Line) -> ins.Maintainer:
    """MAINTAINER NAME."""
    return ins.Maintainer(line.text, line.location, _one_argument(line))


def _one_argument(line: _Line) -> str:
    line.options()
    if not line.rest:
        raise DockerfileError(f"{line.name} requires exactly one argument")
    return line.rest


def _expose(line: _Line) -> ins.Expose:
    """EXPOSE PORT[/PROTOCOL]…."""
    line.options()
    ports = blank_separated(line.rest)
    _require_some(ports, "EXPOSE")
    return ins.Expose(line.text, line.location, tuple(sorted(ports)))


def _volume(line: _Line) -> ins.Volume:
    """VOLUME PATH… or ["PATH", …]."""
    line.options()
    paths = json_strings(line.rest)
    if paths is None:
        paths = blank_separated(line.rest)
    _require_some(paths, "VOLUME")
    paths = tuple(path.strip(SPACE) for path in paths)
    if not all(paths):
        raise DockerfileError("VOLUME cannot be an empty string")
    return ins.Volume(line.text, line.location, paths)


def _healthcheck(line: _Line) -> ins.HealthCheck:
    """HEALTHCHECK [OPTIONS] CMD COMMAND, or HEALTHCHECK NONE."""
    parts = re.split(f"[{SPACE}]+", line.rest, maxsplit=1)
    kind, rest = parts[0].upper(), "".join(parts[1:])
    options = line.options(_HEALTHCHECK_FLAGS)
    if not kind:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    if kind == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return ins.HealthCheck(line.text, line.location, Healthcheck(test=("NONE",)))
    if kind != "CMD":
        raise DockerfileError(f"unknown type {parts[0]!r} in HEALTHCHECK", remedy="use CMD or NONE")
    command = _command(rest)
    if not rest or not command.args:
        raise DockerfileError("missing command after HEALTHCHECK CMD")
    test = ("CMD-SHELL" if command.shell_form else "CMD", *command.args)
    intervals = {
        name.replace("-", "_"): _interval(name, options.get(name, ""))
        for name in ("interval", "timeout", "start-period", "start-interval")
    }
    check = Healthcheck(test=test, retries=_retries(options.get("retries", "")), **intervals)
    return ins.HealthCheck(line.text, line.location, check)


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


def _on_build(line: _Line) -> ins.OnBuild:
    """ONBUILD INSTRUCTION."""
    line.options()
    if not line.rest:
        raise DockerfileError("ONBUILD requires at least one argument")
    name = split_statement(line.rest).name.upper()
    if name == "ONBUILD":
        raise DockerfileError("chaining ONBUILD via ONBUILD ONBUILD is not allowed")
    if name in {"FROM", "MAINTAINER"}:
        raise DockerfileError(f"{name} is not allowed as an ONBUILD trigger")
    _parse(line.rest, line.location, line.escape)
    return ins.OnBuild(line.text, line.location, line.rest)


def _require_some(words: tuple[str, ...], instruction: str) -> None:
    if not words:
        raise DockerfileError(f"{instruction} requires at least one argument")


_PARSERS: dict[str, Callable[[_Line], ins.Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _on_build,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
