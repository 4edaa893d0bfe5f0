"""A parsed Dockerfile to a graph: the stages that the target needs, and only those."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild import graph
from ocibuild.dockerfile.conversion.buildarguments import argument_warnings, created_text
from ocibuild.dockerfile.conversion.environment import Variables, global_arguments
from ocibuild.dockerfile.conversion.history import missing_entries
from ocibuild.dockerfile.conversion.options import Target
from ocibuild.dockerfile.conversion.stagebuild import BuiltStage, StageBuilder, StepLabels
from ocibuild.dockerfile.conversion.stages import ContextInput, ImageInput, StageInput, Stages
from ocibuild.dockerfile.conversion.trees import Trees
from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.parser.instructions import Add, Copy, OnBuild, Run, Workdir
from ocibuild.dockerfile.parser.parse import parse_trigger
from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.errors import DockerfileError, RegistryError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.dockerfile.conversion.options import ImageResolver, Options, ResolvedBase
    from ocibuild.dockerfile.conversion.stages import Input, PlannedStage
    from ocibuild.dockerfile.parser.instructions import StageInstruction
    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.errors import SourceRange
    from ocibuild.oci import ImageConfig, Platform, Reference


def convert(dockerfile: Dockerfile, options: Options, resolve: ImageResolver) -> Target:
    """Return what building ``dockerfile`` means; nothing is read but images' configs, through ``resolve``.

    Raises DockerfileError, with the lines it is about, and what ``resolve`` raises.
    """
    conversion = _Conversion(dockerfile, options, resolve)
    built = conversion.build(conversion.stages.target(options.target))
    created = created_text(options.build_args)
    config = replace(
        built.config,
        platform=_platform(built.config.platform, options),
        created=created,
        config=replace(built.config.config, labels={**built.config.config.labels, **options.labels}),
        history=(*built.config.history, *missing_entries(built.vertex, built.unrecorded, created)),
    )
    warnings = (*argument_warnings(dockerfile, options.build_args), *conversion.stages.anew_warnings(options.anew))
    return Target(built.vertex, config, warnings)


def _platform(found: Platform, options: Options) -> Platform:
    """An image built for another platform than the machine's says so, whatever its base says."""
    wanted = options.platform
    if wanted == options.build_platform:
        return found.normalized()
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return replace(
        wanted,
        variant=wanted.variant or (found.variant if same else None),
        os_version=wanted.os_version or (found.os_version if same else None),
        os_features=wanted.os_features or found.os_features,
    ).normalized()


@dataclass(frozen=True, slots=True)
class _Body:
    """The instructions of a stage, after those that its base triggers."""

    triggers: tuple[StageInstruction, ...]
    instructions: tuple[StageInstruction, ...]

    @property
    def steps(self) -> int:
        """How many of them progress counts; it counts every trigger."""
        own = sum(isinstance(instruction, (Run, Copy, Add, Workdir)) for instruction in self.instructions)
        return own + len(self.triggers)


class _Conversion:
    """Everything that is found once in a conversion and used by several stages."""

    def __init__(self, dockerfile: Dockerfile, options: Options, resolve: ImageResolver) -> None:
        self._escape = dockerfile.directives.escape
        self._options = options
        self._arguments = global_arguments(dockerfile, options)
        self._built: dict[int, BuiltStage] = {}
        self._ask = resolve
        self._trees = Trees(options, self._resolve)
        self.stages = Stages(dockerfile, options, self._arguments)
        self._anew = self.stages.anew(options.anew)

    def build(self, target: int) -> BuiltStage:
        """Convert the stage ``target`` and those it stands on, in the order of the file."""
        bodies = self._needed(target)
        for index in sorted(bodies):
            self._built[index] = self._stage(index, bodies[index])
        return self._built[target]

    def _resolve(self, reference: Reference, platform: Platform) -> ResolvedBase:
        try:
            return self._ask(reference, platform)
        except RegistryError as error:
            error.remedy = "; ".join(filter(None, [error.remedy, self.stages.similar(reference)])) or None
            raise

    def _needed(self, target: int) -> dict[int, _Body]:
        """Return the bodies of the stages that ``target`` needs, those that triggers take files from included."""
        bodies: dict[int, _Body] = {}
        waiting = list(range(len(self.stages.planned)))[::-1] if self._options.every_stage else [target]
        while waiting:
            index = waiting.pop()
            if index in bodies:
                continue
            bodies[index] = self._body(index)
            waiting.extend(self._inputs(index, bodies[index]))
        return bodies

    def _body(self, index: int) -> _Body:
        planned = self.stages.planned[index]
        if planned.replaced and not self._options.every_stage:
            return _Body((), ())
        location = planned.stage.start.location
        triggers = tuple(parse_trigger(text, location=location) for text in self._triggers(planned))
        return _Body(triggers, planned.stage.instructions)

    def _triggers(self, planned: PlannedStage) -> Sequence[str]:
        """Return the ONBUILD triggers of the stage's base, as written: an image's config has them, or a stage."""
        if isinstance(planned.base, StageInput):
            base = self.stages.planned[planned.base.index]
            if base.replaced:
                return ()
            return [found.trigger for found in base.stage.instructions if isinstance(found, OnBuild)]
        with located(planned.stage.start.location):
            found = self._trees.config(planned.base, planned.platform)
        if isinstance(planned.base, ImageInput):
            self._observe_image(planned, found.platform)
        return found.config.on_build

    def _observe_image(self, planned: PlannedStage, found: Platform) -> None:
        start = planned.stage.start
        name = expand_word(start.base, self._arguments, escape=self._escape)
        for observer in self._options.observers:
            observer.image(name, start.location, planned.platform or self._options.platform, found)

    def _inputs(self, index: int, body: _Body) -> list[int]:
        base = self.stages.planned[index].base
        found = [base.index] if isinstance(base, StageInput) else []
        for instruction in (*body.triggers, *body.instructions):
            with located(instruction.location):
                for name, source in self.stages.inputs(instruction, index):
                    found.extend(_earlier(source, index, name, "mount" if isinstance(instruction, Run) else "copy"))
        return found

    def _stage(self, index: int, body: _Body) -> BuiltStage:
        planned = self.stages.planned[index]
        start = planned.stage.start
        for observer in self._options.observers:
            on = planned.base.index if isinstance(planned.base, StageInput) else None
            observer.stage(index, on, self._inputs(index, body))
        is_step = isinstance(planned.base, (ImageInput, ContextInput))
        labels = StepLabels(self.stages.label(index), is_step + body.steps)
        with located(start.location):
            base = self._base(planned, labels)
        builder = StageBuilder(
            base,
            labels,
            _StageSources(self.stages, self._trees, self._built, index),
            self._options,
            global_arguments=self._arguments,
            escape=self._escape,
            anew=index in self._anew,
        )
        for instruction in body.triggers:
            with located(instruction.location):
                builder.add(instruction, trigger=True)
        for instruction in body.instructions:
            with located(instruction.location):
                builder.add(instruction)
        return builder.result()

    def _base(self, planned: PlannedStage, labels: StepLabels) -> BuiltStage:
        base, platform = planned.base, planned.platform
        if isinstance(base, StageInput):
            return self._built[base.index]
        config = self._trees.config(base, platform)
        label = None
        if isinstance(base, ImageInput):
            label = labels.next(f"FROM {self._trees.pinned(base.reference, platform)}")
        vertex = self._trees.base(base, platform, planned.stage.start.location, label=label)
        return BuiltStage(vertex, config, Variables(), unrecorded=_unrecorded(vertex, config))


def _unrecorded(vertex: graph.Vertex, config: ImageConfig) -> int:
    """Return how many layers of a base its history leaves out: that of a build context has none."""
    layers = 1 if isinstance(vertex, graph.Copy) else len(config.diff_ids)
    return max(0, layers - sum(not entry.empty_layer for entry in config.history))


def _earlier(source: Input, user: int, name: str, verb: str) -> list[int]:
    """Return the stage that ``source`` is, if it is one, which must stand before ``user``."""
    if not isinstance(source, StageInput):
        return []
    if source.index > user:
        raise DockerfileError(
            f"cannot {verb} from stage {name!r}, it needs to be defined before the stage that uses it"
        )
    return [source.index]


@dataclass(frozen=True, slots=True)
class _StageSources:
    """The trees that one stage takes files from."""

    stages: Stages
    trees: Trees
    built: Mapping[int, BuiltStage]
    user: int

    def copied(self, name: str, location: SourceRange) -> graph.Vertex:
        return self._tree(self.stages.copied(name, self.user), location) if name else self.trees.main

    def mounted(self, name: str, location: SourceRange) -> graph.Vertex:
        return self._tree(self.stages.mounted(name, self.user), location) if name else self.trees.main

    def _tree(self, source: Input, location: SourceRange) -> graph.Vertex:
        if isinstance(source, StageInput):
            return self.built[source.index].vertex
        return self.trees.tree(source, None, location)
