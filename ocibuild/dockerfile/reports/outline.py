"""What a build can be given: the build arguments, secrets and SSH agents that its target uses."""

from __future__ import annotations

import posixpath
from dataclasses import field
from typing import TYPE_CHECKING, TypeVar

from ocibuild.dockerfile.conversion.environment import global_arguments
from ocibuild.dockerfile.lint.watching import declarations, expand_watched
from ocibuild.dockerfile.parser.instructions import Arg, Run
from ocibuild.dockerfile.reports.targets import description
from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.graph.csvfields import csv_fields
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ocibuild.dockerfile.conversion.options import Options, Seen
    from ocibuild.dockerfile.parser.instructions import StageInstruction
    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.errors import SourceRange
    from ocibuild.oci import Platform

_T = TypeVar("_T", "BuildArgument", "Demand")
_KEYS = {"src": "source", "dst": "target", "destination": "target"}
_TRUE = frozenset({"", "1", "t", "true"})


@dataclass(frozen=True, slots=True)
class BuildArgument:
    """A build argument, with the value that it has in this build."""

    name: str
    value: str
    description: str
    location: SourceRange


@dataclass(frozen=True, slots=True)
class Demand:
    """A secret or an SSH agent that a RUN mounts."""

    name: str
    required: bool
    location: SourceRange


@dataclass(frozen=True, slots=True)
class Outline:
    """What the target ``name``, empty where it has none, and all it stands on and copies from can be given."""

    name: str
    description: str
    arguments: tuple[BuildArgument, ...]
    secrets: tuple[Demand, ...]
    ssh: tuple[Demand, ...]


@dataclass(frozen=True, slots=True)
class _StageUse:
    """What one stage uses; ``opening`` are the global arguments of its FROM and of those below it."""

    inputs: tuple[int, ...]
    opening: Mapping[str, None]
    used: dict[str, None]
    arguments: dict[str, BuildArgument]
    secrets: dict[str, Demand] = field(default_factory=dict)
    ssh: dict[str, Demand] = field(default_factory=dict)


class Outliner:
    """An observer of a conversion, of which ``outline`` is the result."""

    def __init__(self, dockerfile: Dockerfile, options: Options) -> None:
        """Read the global arguments; raises DockerfileError for one that cannot be expanded."""
        self._dockerfile = dockerfile
        self._build_args = options.build_args
        self._escape = dockerfile.directives.escape
        self._global_values = global_arguments(dockerfile, options)
        self._global: dict[str, BuildArgument] = {}
        self._needed: dict[str, Mapping[str, None]] = {}
        for instruction in dockerfile.global_args:
            self._define_global(instruction)
        self._stages: dict[int, _StageUse] = {}
        self._target = 0

    def _define_global(self, instruction: Arg) -> None:
        for name, default in instruction.pairs:
            given = name in self._build_args or default is None
            self._needed[name] = {} if given else self._looked_up(default or "")
            value = self._build_args.get(name, "" if default is None else self._global_values.get(name, ""))
            self._global[name] = _argument(name, value, instruction)

    def _looked_up(self, text: str) -> Mapping[str, None]:
        return expand_watched(text, self._global_values, escape=self._escape)[1].found

    def image(self, name: str, location: SourceRange, wanted: Platform, found: Platform) -> None:
        """An image has nothing to be given."""

    def stage(self, index: int, base: int | None, inputs: Sequence[int]) -> None:
        """Begin a stage; the last one that begins is the target."""
        start = self._dockerfile.stages[index].start
        below = self._stages[base].opening if base is not None else {}
        opening = {**below, **self._looked_up(start.base), **self._looked_up(start.platform or "")}
        self._stages[index] = _StageUse(tuple(inputs), opening, dict(opening), dict(self._global))
        self._target = index

    def instruction(self, instruction: StageInstruction, seen: Seen) -> None:
        """Note what one more instruction of the stage uses."""
        match instruction:
            case Arg():
                self._declare(instruction, seen)
            case Run():
                for mount in instruction.mounts:
                    self._mount(_mount_fields(mount, seen, self._escape), instruction.location)

    def _declare(self, instruction: Arg, seen: Seen) -> None:
        stage = self._stages[self._target]
        declared = declarations(
            instruction, seen.variables, self._build_args, escape=self._escape, inherited=self._global_values
        )
        for name, value, *_ in declared:
            stage.used[name] = None
            if value is not None or name not in self._global_values:
                stage.arguments[name] = _argument(name, value or "", instruction)

    def _mount(self, fields: Mapping[str, str], location: SourceRange) -> None:
        stage = self._stages[self._target]
        required = fields.get("required", "false").lower() in _TRUE
        if fields.get("type") == "secret":
            name = fields.get("source") or fields.get("id") or posixpath.basename(fields.get("target", ""))
            stage.secrets.setdefault(name, Demand(name, required, location))
        elif fields.get("type") == "ssh":
            name = fields.get("id") or "default"
            stage.ssh.setdefault(name, Demand(name, required, location))

    def outline(self) -> Outline:
        """Return what the target uses, sorted by place."""
        start = self._dockerfile.stages[self._target].start
        stages = list(self._reached(self._target, set()))
        return Outline(
            start.name,
            description(start.comments, start.name),
            _sorted(stage.arguments[name] for stage in stages for name in self._used(stage) if name in stage.arguments),
            _sorted(demand for stage in stages for demand in stage.secrets.values()),
            _sorted(demand for stage in stages for demand in stage.ssh.values()),
        )

    def _reached(self, index: int, known: set[int]) -> Iterator[_StageUse]:
        waiting = [index]
        while waiting:
            index = waiting.pop(0)
            if index not in known:
                known.add(index)
                yield self._stages[index]
                waiting.extend(self._stages[index].inputs)

    def _used(self, stage: _StageUse) -> Iterable[str]:
        """Return the names that a stage uses, and the global arguments that their defaults are made of."""
        found = dict.fromkeys(stage.used)
        waiting = list(found)
        for name in waiting:
            if stage.arguments.get(name) == self._global.get(name):
                waiting.extend(needed for needed in self._needed.get(name, ()) if needed not in found)
                found.update(self._needed.get(name, {}))
        return found


def _argument(name: str, value: str, instruction: Arg) -> BuildArgument:
    return BuildArgument(name, value, description(instruction.comments, name), instruction.location)


def _mount_fields(mount: str, seen: Seen, escape: str) -> dict[str, str]:
    """Return the fields of a mount, which may be wrong: the conversion comes to that."""
    fields: dict[str, str] = {}
    for item in csv_fields(mount):
        name, _, value = item.partition("=")
        fields[_KEYS.get(name.lower(), name.lower())] = expand_word(value, seen.variables, escape=escape)
    return fields


def _sorted(items: Iterable[_T]) -> tuple[_T, ...]:
    """Return the first of each name, in the order of the file."""
    first: dict[str, _T] = {}
    for item in items:
        first.setdefault(item.name, item)
    return tuple(sorted(first.values(), key=lambda item: item.location.first))
