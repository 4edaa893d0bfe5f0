"""The flags of an instruction: ``--name=value``, before its arguments."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FlagSet:
    """The flags that an instruction knows.

    ``values`` take a value; ``switches`` are true or false, true where they stand alone; ``lists`` take a value each
    time they stand there. Those of ``refused`` are known, and why they cannot be used.
    """

    values: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return all that can be used."""
        return self.values + self.switches + self.lists


@dataclass(slots=True)
class Flags:
    """What the flags of one instruction say."""

    values: dict[str, str] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return the value of a flag, empty where it is not given."""
        return self.values.get(name, "")

    def list(self, name: str) -> tuple[str, ...]:
        """Return the values of a flag in their order."""
        return tuple(self.lists.get(name, ()))


NO_FLAGS = FlagSet()


def parse_flags(flags: Sequence[str], known: FlagSet, *, instruction: str) -> Flags:
    """Return what ``flags`` say.

    Raises DockerfileError for one that ``instruction`` does not know (with the nearest that it does) or refuses, that
    stands twice, that lacks its value, or that is neither true nor false.
    """
    found = Flags()
    for flag in flags:
        name, equals, value = (flag if flag.isascii() else _byte_by_byte(flag))[2:].partition("=")
        _require_known(name, known, instruction)
        if name in found.values or name in found.switches:
            raise DockerfileError(f"{instruction} --{name} is given twice")
        if name in known.switches:
            found.switches[name] = not equals or _switch(name, value, instruction)
        elif not equals:
            raise DockerfileError(f"{instruction} --{name} needs a value", remedy=f"write --{name}=VALUE")
        elif name in known.lists:
            found.lists.setdefault(name, []).append(value)
        else:
            found.values[name] = value
    return found


def _require_known(name: str, known: FlagSet, instruction: str) -> None:
    if name in known.refused:
        raise DockerfileError(f"{instruction} --{name} is not supported: {known.refused[name]}")
    if name not in known.names():
        remedy = did_you_mean(name, known.names(), prefix="--")
        shown = name if name.isprintable() else repr(name)
        raise DockerfileError(f"{instruction} has no flag --{shown}", remedy=remedy)


def _switch(name: str, value: str, instruction: str) -> bool:
    match value.lower():
        case "true":
            return True
        case "false":
            return False
        case "":
            raise DockerfileError(f"{instruction} --{name}= needs a value", remedy=f"write --{name} or --{name}=false")
    raise DockerfileError(f"{instruction} --{name} is true or false, not {value!r}")


def _byte_by_byte(flag: str) -> str:
    """Return ``flag`` as the reference implementation has it, which takes each of its bytes for a character.

    Raises DockerfileError where one of them would be white space, and end the flag in the middle of a character.
    """
    found = flag.encode("utf-8", "surrogateescape").decode("latin-1")
    if "\x85" in found or "\xa0" in found:
        raise DockerfileError(f"the flag {flag!r} holds a character that no flag can hold", remedy="use ASCII there")
    return found
