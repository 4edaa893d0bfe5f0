"""The linter: a Dockerfile's text, then its conversion, watched; findings in the order in which BuildKit has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.lint.bases import base_findings, base_image_platform
from ocibuild.dockerfile.lint.steps import step_findings
from ocibuild.dockerfile.lint.surroundings import StageNotes, Surroundings
from ocibuild.dockerfile.lint.text import instruction_findings, text_findings
from ocibuild.errors import LintFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocibuild.dockerfile.conversion.options import Options, Seen
    from ocibuild.dockerfile.lint.rules import Finding
    from ocibuild.dockerfile.lint.settings import CheckSettings
    from ocibuild.dockerfile.parser.instructions import StageInstruction
    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.errors import SourceRange
    from ocibuild.oci import Platform


class Linter:
    """Collects ``findings``, those that ``settings`` leaves; an observer of a conversion."""

    def __init__(self, settings: CheckSettings, around: Surroundings) -> None:
        self.findings: list[Finding] = []
        self._settings = settings
        self._around = around
        self._notes: dict[int, StageNotes] = {}
        self._current = StageNotes()

    def read(self, dockerfile: Dockerfile, options: Options) -> None:
        """Look at a Dockerfile before it is converted."""
        self._take(text_findings(dockerfile))
        self._take(base_findings(dockerfile, options))

    def read_part(self, dockerfile: Dockerfile) -> None:
        """Look at the beginning of a Dockerfile whose end cannot be read."""
        self._take(instruction_findings(dockerfile))

    def image(self, name: str, location: SourceRange, wanted: Platform, found: Platform) -> None:
        """Look at the platform of a base image."""
        self._take(base_image_platform(name, location, wanted, found))

    def stage(self, index: int, base: int | None, inputs: Sequence[int]) -> None:  # noqa: ARG002 - for other observers
        """Begin a stage: a working directory that its base has set holds for it."""
        below = self._notes.get(index if base is None else base, StageNotes())
        self._current = self._notes[index] = StageNotes(workdir_set=below.workdir_set)

    def instruction(self, instruction: StageInstruction, seen: Seen) -> None:
        """Look at one more instruction of the stage."""
        self._take(step_findings(instruction, seen, self._current, self._around))

    def judge(self) -> None:
        """Raise LintFailed where something was found and the settings make that an error."""
        if self._settings.error and self.findings:
            names = dict.fromkeys(finding.rule.name for finding in self.findings)
            raise LintFailed(
                f"lint violation found for rules: {', '.join(names)}",
                remedy="correct them, or take error=true out of the check directive",
            )

    def _take(self, findings: Iterable[Finding]) -> None:
        self.findings.extend(finding for finding in findings if self._settings.applies(finding.rule))
