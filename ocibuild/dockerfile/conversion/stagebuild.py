"""One stage to vertices and a config, instruction by instruction."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import TYPE_CHECKING, Protocol

from ocibuild import graph
from ocibuild.dockerfile.conversion import paths
from ocibuild.dockerfile.conversion.buildarguments import (
    CACHE_NAMESPACE,
    HOSTNAME,
    NO_VARIABLES,
    created_text,
    proxy_settings,
    source_date,
)
from ocibuild.dockerfile.conversion.copies import copy_text, expanded, mode_change, taken_files
from ocibuild.dockerfile.conversion.environment import Variables, image_environment
from ocibuild.dockerfile.conversion.history import HistoryLog, pairs_text, run_text
from ocibuild.dockerfile.conversion.options import Seen
from ocibuild.dockerfile.conversion.runmounts import read_mounts
from ocibuild.dockerfile.conversion.runs import run_command, run_label, run_network, run_security
from ocibuild.dockerfile.conversion.settings import apply_setting, expand_pairs
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.errors import DockerfileError, without_passwords
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.dockerfile.conversion.options import Options
    from ocibuild.errors import SourceRange
    from ocibuild.oci import ImageConfig, Platform, RunConfig


class Sources(Protocol):
    """Gives the trees that instructions take files from; no name is that of the main build context."""

    def copied(self, name: str, location: SourceRange) -> graph.Vertex:
        """Return the tree that ``COPY --from=name`` means."""

    def mounted(self, name: str, location: SourceRange) -> graph.Vertex:
        """Return the tree that ``from=name`` means in a mount."""


@dataclass(frozen=True, slots=True)
class BuiltStage:
    """What a stage gives to those that stand on it: ``variables`` as a RUN sees them, ``arguments`` as declared so far.

    ``unrecorded`` is how many layers of its base have no entry in the history.
    """

    vertex: graph.Vertex
    config: ImageConfig
    variables: Variables
    arguments: Mapping[str, str] = field(default_factory=dict)
    unrecorded: int = 0


@dataclass(slots=True)
class StepLabels:
    """Numbers the steps of a stage as progress shows them: ``[builder 2/4] RUN make``."""

    stage: str
    total: int
    done: int = 0

    def next(self, text: str, *, trigger: bool = False) -> str:
        """Return the label of the next step, without passwords of web addresses."""
        self.done += 1
        stage = f"{self.stage} " if self.stage else ""
        width = int(1 + math.log10(self.total)) if self.total else 1
        return f"[{stage}{self.done:>{width}}/{self.total}] {'ONBUILD ' if trigger else ''}{without_passwords(text)}"


def _inherited(config: RunConfig) -> RunConfig:
    """Return what a stage takes over of its base's settings: of lists that are empty, as of triggers, it keeps none."""
    return replace(
        config,
        entrypoint=config.entrypoint or None,
        cmd=config.cmd or None,
        shell=config.shell or None,
        on_build=(),
        working_dir=config.working_dir and paths.working_dir("/", config.working_dir),
    )


class StageBuilder:
    """Converts the instructions of one stage in order; ``result`` is what they have made so far."""

    def __init__(
        self,
        base: BuiltStage,
        labels: StepLabels,
        sources: Sources,
        options: Options,
        *,
        global_arguments: Mapping[str, str],
        escape: str,
        anew: bool = False,
    ) -> None:
        self._vertex = base.vertex
        self._image = base.config
        self._environment = image_environment(base.config.config.env)
        self._config = _inherited(base.config.config)
        self._author = base.config.author
        self._unrecorded = base.unrecorded
        self._history = HistoryLog(base.config.history, created=created_text(options.build_args))
        self._variables = Variables(base.variables)
        for name, value in self._environment.items():
            self._variables.assign(name, value)
        self._arguments = dict(base.arguments)
        self._settings: tuple[str, ...] | None = None
        self._cmd_is_own = False
        self._labels = labels
        self._sources = sources
        self._options = options
        self._hidden = proxy_settings(options.build_args)
        self._global_arguments = global_arguments
        self._escape = escape
        self._anew = anew

    def result(self) -> BuiltStage:
        """Return the stage as it stands."""
        config = replace(self._config, env=self._environment.settings())
        image = replace(self._image, created=None, author=self._author, config=config, history=self._history.entries())
        return BuiltStage(self._vertex, image, self._variables, dict(self._arguments), self._unrecorded)

    def add(self, instruction: ins.StageInstruction, *, trigger: bool = False) -> None:
        """Convert one more instruction; ``trigger`` where it comes from an ONBUILD of the base."""
        for observer in self._options.observers:
            observer.instruction(instruction, Seen(self._variables, self._arguments, bool(self._config.shell)))
        match instruction:
            case ins.Run():
                self._run(instruction, trigger=trigger)
            case ins.Copy() | ins.Add():
                self._copy(instruction, trigger=trigger)
            case ins.Workdir():
                self._workdir(instruction, trigger=trigger)
            case ins.Env():
                self._env(instruction)
            case ins.Arg():
                self._arg(instruction)
            case ins.OnBuild():
                self._config = replace(self._config, on_build=(*self._config.on_build, instruction.trigger))
            case ins.Maintainer():
                self._author = instruction.name
                self._history.add(f"MAINTAINER {instruction.name}")
            case _:
                self._config, text = apply_setting(
                    instruction, self._config, self._variables, escape=self._escape, cmd_is_own=self._cmd_is_own
                )
                self._cmd_is_own |= isinstance(instruction, ins.Cmd)
                self._history.add(text)

    def _expand(self, text: str) -> str:
        return expand_word(text, self._variables, escape=self._escape)

    def _origin(self, instruction: ins.Instruction, text: str, *, trigger: bool) -> graph.Origin:
        name, space, rest = text.partition(" ")
        label = self._labels.next(name.upper() + space + rest, trigger=trigger)
        return graph.Origin(label, instruction.location, self._anew)

    def _shown(self, instruction: ins.Instruction) -> str:
        """Return the instruction as progress shows it, as written where a variable in it cannot be expanded."""
        try:
            return self._expand(instruction.text)
        except DockerfileError:
            return instruction.text

    def _run(self, instruction: ins.Run, *, trigger: bool) -> None:
        args, script = run_command(instruction, self._config)
        if self._settings is None:
            self._settings = self._variables.settings()
        mounts = read_mounts(
            instruction.mounts,
            working_dir=self._config.working_dir,
            namespace=self._options.build_args.get(CACHE_NAMESPACE, ""),
            expand=self._expand,
            tree_of=lambda name: self._sources.mounted(name, instruction.location),
            location=instruction.location,
        )
        label = run_label(instruction, self._variables, mounts, escape=self._escape)
        self._vertex = graph.Run(
            self._vertex,
            args,
            env=self._settings,
            hidden_env=self._hidden,
            user=self._config.user,
            working_dir=paths.clean(self._config.working_dir),
            hostname=self._options.build_args.get(HOSTNAME) or graph.DEFAULT_HOSTNAME,
            network=run_network(instruction, self._options),
            security=run_security(instruction, self._options),
            mounts=(script, *mounts) if script else mounts,
            extra_hosts=self._options.extra_hosts,
            shm_size=self._options.shm_size,
            ulimits=self._options.ulimits,
            platform=self._foreign_platform(),
            shell=args[:-1] if instruction.command.shell_form else (),
            origin=self._origin(instruction, label, trigger=trigger),
        )
        arguments = {name: self._variables.get(name, value) for name, value in self._arguments.items()}
        self._history.add(run_text(args, arguments), makes_layer=True)

    def _foreign_platform(self) -> Platform | None:
        """Return what the stage's programs are made for, None where that is the machine that builds."""
        platform = self._image.platform.normalized()
        return None if platform == self._options.build_platform.normalized() else platform

    def _copy(self, instruction: ins.Copy | ins.Add, *, trigger: bool) -> None:
        origin = self._origin(instruction, self._shown(instruction), trigger=trigger)
        instruction = expanded(instruction, self._variables, escape=self._escape)
        from_ = instruction.from_ if isinstance(instruction, ins.Copy) else ""
        mode = mode_change(instruction)
        self._vertex = graph.Copy(
            self._vertex,
            taken_files(instruction, self._sources.copied(from_, instruction.location), origin),
            paths.destination(self._config.working_dir, instruction.destination),
            owner=instruction.owner or None,
            mode=mode,
            parents=isinstance(instruction, ins.Copy) and instruction.parents,
            exclude=instruction.exclude,
            link=instruction.link and mode is None,
            origin=origin,
        )
        self._history.add(copy_text(instruction), makes_layer=True)

    def _workdir(self, instruction: ins.Workdir, *, trigger: bool) -> None:
        path = paths.working_dir(self._config.working_dir, self._expand(instruction.path))
        self._config = replace(self._config, working_dir=path)
        if path != "/":
            origin = self._origin(instruction, self._shown(instruction), trigger=trigger)
            time = source_date(self._options.build_args)
            self._vertex = graph.MakeDirectory(self._vertex, paths.clean(path), self._config.user, time, origin)
        self._history.add(f"WORKDIR {path}", makes_layer=path != "/")

    def _env(self, instruction: ins.Env) -> None:
        pairs = expand_pairs(instruction.pairs, self._variables, escape=self._escape)
        for name, value in pairs:
            self._environment.assign(name, value)
            self._assign(name, value)
        self._history.add(pairs_text("ENV", pairs))

    def _arg(self, instruction: ins.Arg) -> None:
        declared = []
        for name, default in instruction.pairs:
            value = self._argument(name, default)
            if value is not None and name not in NO_VARIABLES:
                self._assign(name, value)
            self._arguments[name] = value or ""
            declared.append(name if value is None else f"{name}={value}")
        self._history.add(" ".join(["ARG", *declared]))

    def _argument(self, name: str, default: str | None) -> str | None:
        """The command line wins, then the default, then the global argument of that name."""
        value = self._options.build_args.get(name)
        if value is not None:
            return value
        return self._global_arguments.get(name) if default is None else self._expand(default)

    def _assign(self, name: str, value: str) -> None:
        self._variables.assign(name, value)
        self._settings = None
