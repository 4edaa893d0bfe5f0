"""Which rules count, and what becomes of a build that breaks one: ``# check=skip=A,B;error=true;experimental=all``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.dockerfile.lint.rules import Rule
    from ocibuild.errors import SourceRange

ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands in for the directive of the Dockerfile."""

_ALL = frozenset({"all"})
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Names of rules to ``skip`` and of ``experimental`` ones to apply, where ``all`` alone stands for every one.

    With ``error`` a finding makes the build fail.
    """

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> CheckSettings:
        """Return what a ``check`` directive says; raises DockerfileError.

        As in the reference implementation, there are at most three parts: a fourth is read as the end of the third.
        """
        found: dict[str, frozenset[str] | bool] = {}
        for part in text.strip().split(";", maxsplit=2) if text.strip() else ():
            name, equals, value = part.partition("=")
            if not equals or name.strip() not in cls.__slots__:
                raise DockerfileError(
                    f"invalid check option {part.strip()!r}",
                    remedy="use skip=RULE,…, experimental=RULE,… or error=true",
                )
            found[name.strip()] = _boolean(part, value) if name.strip() == "error" else _names(value)
        return cls(**found)  # type: ignore[arg-type]  # each option has its own type

    @classmethod
    def of(
        cls, directive: str | None, build_args: Mapping[str, str], location: SourceRange | None = None
    ) -> CheckSettings:
        """Return what counts for a build: the build argument, if it is given, and else the directive, up to a blank.

        An error of the directive has its ``location``.
        """
        if ARGUMENT in build_args:
            return cls.parse(build_args[ARGUMENT])
        try:
            return cls.parse((directive or "").partition(" ")[0])
        except DockerfileError as error:
            error.location = location
            raise

    def applies(self, rule: Rule) -> bool:
        """Whether findings of ``rule`` are wanted."""
        if rule.experimental:
            return _chosen(rule, self.experimental)
        return not _chosen(rule, self.skip)


def _chosen(rule: Rule, names: frozenset[str]) -> bool:
    return names == _ALL or rule.name in names


def _names(value: str) -> frozenset[str]:
    return frozenset(name.strip() for name in value.split(","))


def _boolean(part: str, value: str) -> bool:
    try:
        return _BOOLEANS[value.strip()]
    except KeyError:
        raise DockerfileError(
            f"invalid check option {part.strip()!r}", remedy="use error=true or error=false"
        ) from None
