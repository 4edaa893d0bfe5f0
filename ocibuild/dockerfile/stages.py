"""The stages of a Dockerfile and what each stands on, before anything is converted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.dockerfile.instructions import Copy
from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.dockerfile.words import expand_word
from ocibuild.errors import DockerfileError, SourceRange
from ocibuild.oci import Platform, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.dockerfile.options import Options
    from ocibuild.dockerfile.parser import Dockerfile, Stage

_INDEX = re.compile(r"[+-]?\d{1,9}", re.ASCII)


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
    """The tree of a named context."""

    name: str


@dataclass(frozen=True, slots=True)
class ScratchInput:
    """The empty tree."""


Input: TypeAlias = StageInput | ImageInput | ContextInput | ScratchInput


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage with its base found; ``platform`` is None where FROM names none."""

    stage: Stage
    base: Input
    platform: Platform | None

    @property
    def replaced(self) -> bool:
        """Whether a named context stands in for the whole stage."""
        return isinstance(self.base, ContextInput) and self.base.name == self.stage.start.name


class Stages:
    """All stages of a Dockerfile, and names and numbers to find them by."""

    def __init__(self, dockerfile: Dockerfile, options: Options, variables: Mapping[str, str]) -> None:
        """Find each stage's base; raises DockerfileError for a wrong reference, platform or ``--from``."""
        self._contexts = options.contexts
        self._file = dockerfile.file
        self._escape = dockerfile.directives.escape
        self._by_name: dict[str, int] = {}
        self.planned: list[PlannedStage] = []
        for stage in dockerfile.stages:
            with located(stage.start.location):
                self.planned.append(self._plan(stage, variables))
            if stage.start.name:
                self._by_name[stage.start.name] = stage.index
        self._copies_from_elsewhere = not all(isinstance(source, StageInput) for source in self._copied(dockerfile))

    def _copied(self, dockerfile: Dockerfile) -> list[Input]:
        found: list[Input] = []
        for stage in dockerfile.stages:
            for instruction in stage.instructions:
                if isinstance(instruction, Copy) and instruction.from_:
                    with located(instruction.location):
                        found.append(self.source(instruction.from_, stage.index))
        return found

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
        if start.name in self._contexts:
            return PlannedStage(stage, ContextInput(start.name), platform)
        return PlannedStage(stage, self._base(base), platform)

    def _base(self, name: str) -> Input:
        index = self._by_name.get(name)
        if index is not None:
            return StageInput(index)
        if name.lower() in self._by_name:
            raise DockerfileError(
                f"invalid reference {name!r}", remedy=f"a stage is named in lower case: {name.lower()}"
            )
        return self._outside(name)

    def _outside(self, name: str) -> Input:
        """What a name means that is not a stage's."""
        if name == "scratch":
            return ScratchInput()
        if name in self._contexts:
            return ContextInput(name)
        reference = Reference.parse(name)
        context = reference.familiar().removesuffix(":latest")
        return ContextInput(context) if context in self._contexts else ImageInput(reference)

    def source(self, name: str, user: int) -> Input:
        """Return what ``--from=name`` means in the stage with the index ``user``.

        Raises DockerfileError for the stage itself, a number that no stage has, and a name with variables in it.
        """
        if expand_word(name, {}, escape=self._escape) != name:
            raise DockerfileError(
                "variable expansion is not supported for --from",
                remedy="define a stage with FROM using a global ARG, and copy from that",
            )
        index = self._number(name) if _INDEX.fullmatch(name) else self._by_name.get(name.lower())
        if index is None:
            return self._outside(name)
        if index == user:
            raise DockerfileError(f"cannot copy from stage {name!r}: it would copy from itself")
        return StageInput(index)

    def _number(self, text: str) -> int:
        index = int(text)
        if not 0 <= index < len(self.planned):
            raise DockerfileError(
                f"invalid stage index {index}", remedy=f"there are {len(self.planned)} stages, from 0"
            )
        return index

    def target(self, name: str | None) -> int:
        """Return the index of the stage to build; an unknown one raises DockerfileError, which names the known ones."""
        if not name:
            return len(self.planned) - 1
        index = self._by_name.get(name.lower())
        if index is not None:
            return index
        if _INDEX.fullmatch(name) and 0 <= int(name) < len(self.planned):
            return int(name)
        raise DockerfileError(
            f"target stage {name!r} could not be found: {self._known()}",
            remedy=did_you_mean(name, self._by_name),
            location=SourceRange(self._file, 1, 1),
        )

    def _known(self) -> str:
        names = ", ".join(planned.stage.start.name or str(planned.stage.index) for planned in self.planned)
        return f"the stages are {names}"

    def label(self, index: int) -> str:
        """Return how progress names a stage; empty for the only one of a Dockerfile that copies from no image."""
        if len(self.planned) == 1 and not self._copies_from_elsewhere:
            return ""
        return self.planned[index].stage.start.name or f"stage-{index}"
