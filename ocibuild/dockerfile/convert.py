"""A parsed Dockerfile to a graph: the stages that the target needs, and only those."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocibuild import graph
from ocibuild.dockerfile.environment import DEFAULT_PATH, Variables, global_arguments, unused_arguments
from ocibuild.dockerfile.instructions import Add, Copy, OnBuild, Run, Workdir
from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.options import Target
from ocibuild.dockerfile.parser import parse_trigger
from ocibuild.dockerfile.stagebuild import BuiltStage, StageBuilder, StepLabels
from ocibuild.dockerfile.stages import ContextInput, ImageInput, ScratchInput, StageInput, Stages
from ocibuild.errors import DockerfileError
from ocibuild.oci import ImageConfig, Platform, RunConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.dockerfile.instructions import StageInstruction
    from ocibuild.dockerfile.options import ImageResolver, Options, ResolvedBase
    from ocibuild.dockerfile.parser import Dockerfile
    from ocibuild.dockerfile.stages import Input
    from ocibuild.errors import SourceRange
    from ocibuild.oci import Reference


def convert(dockerfile: Dockerfile, options: Options, resolve: ImageResolver) -> Target:
    """Return what building ``dockerfile`` means; nothing is read but images' configs, through ``resolve``.

    Raises DockerfileError, with the lines it is about, and what ``resolve`` raises.
    """
    conversion = _Conversion(dockerfile, options, resolve)
    built = conversion.build(conversion.stages.target(options.target))
    config = replace(
        built.config,
        platform=_platform(built.config.platform, options),
        config=replace(built.config.config, labels={**built.config.config.labels, **options.labels}),
    )
    unused = unused_arguments(dockerfile, options.build_args)
    warnings = [f"build arguments that no ARG names: {', '.join(unused)}"] if unused else []
    return Target(built.vertex, config, (*dockerfile.warnings, *warnings))


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
        self._resolve = resolve
        self._resolved: dict[tuple[str, str], ResolvedBase] = {}
        self._context = graph.Context(origin=graph.Origin("[internal] load build context"))
        self._arguments = global_arguments(dockerfile, options)
        self._built: dict[int, BuiltStage] = {}
        self.stages = Stages(dockerfile, options, self._arguments)

    def build(self, target: int) -> BuiltStage:
        """Convert the stage ``target`` and those it stands on, in the order of the file."""
        bodies = self._needed(target)
        for index in sorted(bodies):
            self._built[index] = self._stage(index, bodies[index])
        return self._built[target]

    def _needed(self, target: int) -> dict[int, _Body]:
        """Return the bodies of the stages that ``target`` needs, those that triggers copy from included."""
        bodies: dict[int, _Body] = {}
        waiting = [target]
        while waiting:
            index = waiting.pop()
            if index in bodies:
                continue
            bodies[index] = self._body(index)
            waiting.extend(self._inputs(index, bodies[index]))
        return bodies

    def _body(self, index: int) -> _Body:
        planned = self.stages.planned[index]
        if planned.replaced:
            return _Body((), ())
        location = planned.stage.start.location
        triggers = tuple(parse_trigger(text, location=location) for text in self._triggers(index))
        return _Body(triggers, planned.stage.instructions)

    def _triggers(self, index: int) -> Sequence[str]:
        """Return the ONBUILD triggers of the stage's base, as written: an image's config has them, or a stage."""
        planned = self.stages.planned[index]
        match planned.base:
            case StageInput(base):
                instructions = self.stages.planned[base].stage.instructions
                return [instruction.trigger for instruction in instructions if isinstance(instruction, OnBuild)]
            case ImageInput(reference):
                with located(planned.stage.start.location):
                    return self._image(reference, planned.platform).config.config.on_build
            case ContextInput() | ScratchInput():
                return ()

    def _inputs(self, index: int, body: _Body) -> list[int]:
        base = self.stages.planned[index].base
        found = [base.index] if isinstance(base, StageInput) else []
        for instruction in (*body.triggers, *body.instructions):
            if isinstance(instruction, Copy) and instruction.from_:
                with located(instruction.location):
                    source = self.stages.source(instruction.from_, index)
                    found.extend(_earlier(source, index, instruction.from_))
        return found

    def _stage(self, index: int, body: _Body) -> BuiltStage:
        planned = self.stages.planned[index]
        start = planned.stage.start
        is_step = isinstance(planned.base, (ImageInput, ContextInput))
        labels = StepLabels(self.stages.label(index), is_step + body.steps)
        with located(start.location):
            base = self._base(planned.base, planned.platform, labels, start.location)
        builder = StageBuilder(
            base,
            labels,
            _StageSources(self, index),
            self._options,
            global_arguments=self._arguments,
            escape=self._escape,
        )
        for instruction in body.triggers:
            with located(instruction.location):
                builder.add(instruction, trigger=True)
        for instruction in body.instructions:
            with located(instruction.location):
                builder.add(instruction)
        return builder.result()

    def _base(self, base: Input, platform: Platform | None, labels: StepLabels, location: SourceRange) -> BuiltStage:
        match base:
            case StageInput(index):
                return self._built[index]
            case ImageInput(reference):
                resolved = self._image(reference, platform)
                label = labels.next(f"FROM {reference.with_digest(resolved.digest)}")
                vertex = self._image_vertex(reference, platform, graph.Origin(label, location))
                return BuiltStage(vertex, resolved.config, Variables())
            case ContextInput(name):
                origin = graph.Origin(labels.next(f"FROM {name}"), location)
                return BuiltStage(graph.Context(name, origin), self._empty_config(), Variables())
            case ScratchInput():
                return BuiltStage(graph.Scratch(graph.Origin("", location)), self._empty_config(), Variables())

    def _empty_config(self) -> ImageConfig:
        config = RunConfig(working_dir="/", env=(f"PATH={DEFAULT_PATH}",))
        return ImageConfig(platform=self._options.platform, config=config)

    def _image(self, reference: Reference, platform: Platform | None) -> ResolvedBase:
        wanted = platform or self._options.platform
        key = (str(reference), str(wanted))
        if key not in self._resolved:
            self._resolved[key] = self._resolve(reference, wanted)
        return self._resolved[key]

    def _image_vertex(self, reference: Reference, platform: Platform | None, origin: graph.Origin) -> graph.Image:
        digest = self._image(reference, platform).digest
        return graph.Image(reference, platform or self._options.platform, digest, origin)

    def context(self) -> graph.Vertex:
        """Return the main build context."""
        return self._context

    def copied(self, instruction: Copy, user: int) -> graph.Vertex:
        """Return the tree that ``instruction`` in the stage ``user`` copies from."""
        match self.stages.source(instruction.from_, user):
            case StageInput(index):
                return self._built[index].vertex
            case ImageInput(reference):
                digest = self._image(reference, None).digest
                origin = graph.Origin(f"FROM {reference.with_digest(digest)}", instruction.location)
                return self._image_vertex(reference, None, origin)
            case ContextInput(name):
                return graph.Context(name, graph.Origin(f"[context {name}] load", instruction.location))
            case ScratchInput():
                return graph.Scratch(graph.Origin("", instruction.location))


def _earlier(source: Input, user: int, name: str) -> list[int]:
    """Return the stage that ``source`` is, if it is one, which must stand before ``user``."""
    if not isinstance(source, StageInput):
        return []
    if source.index > user:
        raise DockerfileError(f"cannot copy from stage {name!r}, it needs to be defined before the stage that uses it")
    return [source.index]


@dataclass(frozen=True, slots=True)
class _StageSources:
    """The trees that one stage copies from."""

    conversion: _Conversion
    stage: int

    def context(self) -> graph.Vertex:
        return self.conversion.context()

    def copied(self, instruction: Copy) -> graph.Vertex:
        return self.conversion.copied(instruction, self.stage)
