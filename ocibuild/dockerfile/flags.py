"""The flags of an instruction: ``--name=value``, before its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class FlagSet:
    """The flags that an instruction knows: those with a value, and those of the reference that are not built yet."""

    values: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()


NO_FLAGS = FlagSet()


def parse_flags(flags: Sequence[str], known: FlagSet, *, instruction: str) -> dict[str, str]:
    """Return the values of ``flags`` by name.

    Raises DockerfileError for one that ``instruction`` does not know (with the nearest that it does), that is not
    built yet, that stands twice, or that lacks its value.
    """
    found: dict[str, str] = {}
    for flag in flags:
        name, equals, value = flag[2:].partition("=")
        _require_known(name, known, instruction)
        if name in found:
            raise DockerfileError(f"{instruction} --{name} is given twice")
        if not equals:
            raise DockerfileError(f"{instruction} --{name} needs a value", remedy=f"write --{name}=VALUE")
        found[name] = value
    return found


def _require_known(name: str, known: FlagSet, instruction: str) -> None:
    if name in known.unbuilt:
        raise DockerfileError(f"{instruction} --{name} is not built yet")
    if name not in known.values:
        remedy = did_you_mean(name, known.values + known.unbuilt, prefix="--")
        raise DockerfileError(f"{instruction} has no flag --{name}", remedy=remedy)
