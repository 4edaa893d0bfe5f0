"""Shared by the tests of this folder: what is found in a text, with a table in place of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile import convert, parse
from ocibuild.dockerfile.lint import CheckSettings, Finding, Linter, Surroundings
from ocibuild.errors import DockerfileError
from tests.unit.dockerfile.conversion.helpers import Images, options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

EVERYTHING = CheckSettings(experimental=frozenset({"all"}))


def found(
    text: str,
    *,
    images: Images | None = None,
    settings: CheckSettings = EVERYTHING,
    ignored: Collection[str] = (),
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
) -> list[Finding]:
    """Return what is found in ``text``, up to where it cannot be converted."""
    dockerfile = parse(text.encode(), file="Dockerfile")
    around = Surroundings(build_args or {}, lambda source: source in ignored, dockerfile.directives.escape)
    linter = Linter(settings, around)
    asked = options(build_args=build_args or {}, target=target, every_stage=target is None, observers=(linter,))
    linter.read(dockerfile, asked)
    try:
        convert(dockerfile, asked, images or Images())
    except DockerfileError:
        return linter.findings
    return linter.findings


def told(text: str, **changes: object) -> list[str]:
    """Return what is found as LINE: RULE: MESSAGE."""
    return [str(finding).removeprefix("Dockerfile:") for finding in found(text, **changes)]  # type: ignore[arg-type]  # a test's table
