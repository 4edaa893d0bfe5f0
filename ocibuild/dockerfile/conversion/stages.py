"""The stages of a Dockerfile and what each stands on, before anything is converted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.dockerfile.conversion.runmounts import origins
from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.parser.instructions import Copy, Run
from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError, InvalidReference, SourceRange
from ocibuild.oci import Platform, Reference
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocibuild.dockerfile.conversion.options import NamedContext, Options
    from ocibuild.dockerfile.parser.instructions import StageInstruction
    from ocibuild.dockerfile.parser.parse import Dockerfile, Stage

_INDEX = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_RESERVED = ("scratch", "context")


@dataclass(frozen=True, slots=True)
class StageInput:
    """The tree of another stage."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The tree of an image."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class ContextInput:
    """The tree of a named context; ``name`` is as it was given, so with its platform where that is part of it."""

    name: str
    context: NamedContext


@dataclass(frozen=True, slots=True)
class ScratchInput:
    """The empty tree."""


Input: TypeAlias = StageInput | ImageInput | ContextInput | ScratchInput


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage with its base found; ``platform`` is None where FROM names none.

    ``replaced`` is whether a named context stands in for the whole stage.
    """

    stage: Stage
    base: Input
    platform: Platform | None
    replaced: bool = False


class Stages:
    """All stages of a Dockerfile, and names and numbers to find them by."""

    def __init__(self, dockerfile: Dockerfile, options: Options, variables: Mapping[str, str]) -> None:
        """Find each stage's base.

        Raises DockerfileError for a wrong reference, platform or ``from``, and for stages that need each other.
        """
        self._contexts = options.contexts
        self._platform = options.platform
        self._file = dockerfile.file
        self._escape = dockerfile.directives.escape
        self._by_name: dict[str, int] = {}
        self.planned: list[PlannedStage] = []
        for stage in dockerfile.stages:
            with located(stage.start.location):
                self.planned.append(self._plan(stage, variables))
            if stage.start.name:
                self._by_name[stage.start.name] = stage.index
        self._borrows_from_elsewhere = False
        self._refuse_circles(dockerfile)

    def _plan(self, stage: Stage, variables: Mapping[str, str]) -> PlannedStage:
        start = stage.start
        base = expand_word(start.base, variables, escape=self._escape)
        if not base:
            raise DockerfileError(f"base name ({start.base}) should not be blank")
        platform = None
        if start.platform:
            text = expand_word(start.platform, variables, escape=self._escape)
            if not text:
                raise DockerfileError(f"empty platform value from expression {start.platform}")
            platform = Platform.parse(text)
        context = self._replacement(start.name, platform) if start.name else None
        if context:
            return PlannedStage(stage, context, platform, replaced=True)
        return PlannedStage(stage, self._base(base, platform), platform)

    def _base(self, name: str, platform: Platform | None) -> Input:
        index = self._by_name.get(name)
        if index is not None:
            return StageInput(index)
        if name.lower() in self._by_name:
            raise DockerfileError(
                f"invalid reference {name!r}", remedy=f"a stage is named in lower case: {name.lower()}"
            )
        return self._outside(name, platform)

    def _outside(self, name: str, platform: Platform | None) -> Input:
        """What a name means that is not a stage's."""
        if name == "scratch":
            return ScratchInput()
        return self._replacement(name, platform) or ImageInput(Reference.parse(name))

    def _replacement(self, name: str, platform: Platform | None) -> ContextInput | None:
        """Return the named context that stands in for the stage or the image ``name``; every name can be an image's."""
        if name.lower() in _RESERVED:
            return None
        try:
            familiar = Reference.parse(name).familiar().removesuffix(":latest")
        except InvalidReference as error:
            raise InvalidReference(f"invalid name {name!r}: {error.message}", remedy=error.remedy) from error
        for key in (f"{familiar}::{platform or self._platform}", familiar):
            if key in self._contexts:
                return ContextInput(key, self._contexts[key])
        return None

    def inputs(self, instruction: StageInstruction, user: int) -> Iterator[tuple[str, Input]]:
        """Yield each name of a tree that ``instruction`` in the stage ``user`` takes files from, and what it means.

        Raises DockerfileError for the stage itself, a number that no stage has, and a name with variables in it.
        """
        match instruction:
            case Copy(from_=name) if name:
                yield name, self.copied(name, user)
            case Run(mounts=mounts):
                for name in origins(mounts):
                    yield name, self.mounted(name, user)

    def copied(self, name: str, user: int) -> Input:
        """Return what ``COPY --from=name`` means in the stage with the index ``user``: numbers are stages' too."""
        if expand_word(name, {}, escape=self._escape) != name:
            raise DockerfileError(
                "variable expansion is not supported for --from",
                remedy="define a stage with FROM using a global ARG, and copy from that",
            )
        index = self._number(name) if _INDEX.fullmatch(name) else self._by_name.get(name.lower())
        if index == user:
            raise DockerfileError(f"cannot copy from stage {name!r}: it would copy from itself")
        return self._outside(name, None) if index is None else StageInput(index)

    def mounted(self, name: str, user: int) -> Input:
        """Return what ``from=name`` means in a mount in the stage ``user``: stages go by name alone."""
        index = self._by_name.get(name.lower())
        if index == user:
            raise DockerfileError(f"cannot mount from stage {name!r}: it would mount itself")
        return self._outside(name, None) if index is None else StageInput(index)

    def _number(self, text: str) -> int:
        index = int(text)
        if not 0 <= index < len(self.planned):
            raise DockerfileError(f"invalid stage index {index}: {self._known()}")
        return index

    def _refuse_circles(self, dockerfile: Dockerfile) -> None:
        """Raise DockerfileError at the instruction that closes the first circle of stages."""
        uses = [list(self._uses(stage)) for stage in dockerfile.stages]
        finished: set[int] = set()
        for start in range(len(uses)):
            path = {start: iter(uses[start])} if start not in finished else {}
            while path:
                user, remaining = next(reversed(path.items()))
                index, location = next(remaining, (None, None))
                if index is None:
                    path.popitem()
                    finished.add(user)
                elif index in path:
                    name = self.planned[index].stage.start.name or str(index)
                    raise DockerfileError(f"stages need each other: {name!r} is needed for itself", location=location)
                elif index not in finished:
                    path[index] = iter(uses[index])

    def _uses(self, stage: Stage) -> Iterator[tuple[int, SourceRange]]:
        """Yield the other stages that ``stage`` takes files from."""
        for instruction in stage.instructions:
            with located(instruction.location):
                found = [source for _, source in self.inputs(instruction, stage.index)]
            self._borrows_from_elsewhere |= not all(isinstance(source, StageInput) for source in found)
            self._borrows_from_elsewhere |= isinstance(instruction, Run) and bool(instruction.mounts)
            for source in found:
                if isinstance(source, StageInput):
                    yield source.index, instruction.location

    def target(self, name: str | None) -> int:
        """Return the index of the stage to build; an unknown one raises DockerfileError, which names the known ones."""
        if not name:
            return len(self.planned) - 1
        index = self._index(name)
        if index is None:
            raise DockerfileError(
                f"target stage {name!r} could not be found: {self._known()}",
                remedy=did_you_mean(name, self._by_name),
                location=SourceRange(self._file, 1, 1),
            )
        return index

    def anew(self, names: Sequence[str]) -> frozenset[int]:
        """Return the stages whose steps are to be made anew, of those names that a stage has."""
        return frozenset(index for name in names if (index := self._index(name)) is not None)

    def anew_warnings(self, names: Sequence[str]) -> list[str]:
        """Return what is to be said of names that no stage has: as with docker the others count."""
        unknown = [name for name in names if self._index(name) is None]
        return [f"--no-cache-filter: there is no stage {name!r}: {self._known()}" for name in unknown]

    def _index(self, name: str) -> int | None:
        index = self._by_name.get(name.lower())
        if index is None and _INDEX.fullmatch(name) and 0 <= int(name) < len(self.planned):
            return int(name)
        return index

    def _known(self) -> str:
        names = [planned.stage.start.name or str(planned.stage.index) for planned in self.planned]
        return f"the stages are {', '.join(names)}" if len(names) > 1 else f"the only stage is {names[0]}"

    def similar(self, reference: Reference) -> str | None:
        """Return a remedy for an image that cannot be had: its name may be that of a stage, misspelt."""
        name = reference.familiar().removesuffix(":latest")
        return None if "/" in name else did_you_mean(name, self._by_name, prefix="the stage ")

    def label(self, index: int) -> str:
        """Return how progress names a stage.

        Empty for the only one of a Dockerfile that copies from no image and mounts nothing, as in the reference
        implementation, which counts what these take as stages.
        """
        if len(self.planned) == 1 and not self._borrows_from_elsewhere:
            return ""
        return self.planned[index].stage.start.name or f"stage-{index}"
