"""What a template consists of."""

from __future__ import annotations

from typing import TypeAlias

from ocibuild.values import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """What is written as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """``.Config.Env``: members of the current value, one in the other; the value itself where there are no names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name.Member``; ``$`` has an empty name and is the value that the template is for."""

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a number, ``true``, ``false`` or ``nil``."""

    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """``(pipeline).Member``."""

    pipeline: Pipeline
    names: tuple[str, ...]


Operand: TypeAlias = Member | Variable | Literal | Function | Nested


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function with its arguments."""

    words: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which gets the value of the one before it as a last argument.

    ``declared`` are the variables that take the value; ``assigns`` where they are there already.
    """

    commands: tuple[Command, ...]
    declared: tuple[str, ...] = ()
    assigns: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """``{{pipeline}}``: its value is written, unless a variable takes it."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Block:
    """``{{if}}``, ``{{with}}`` or ``{{range}}``, by its ``keyword``, to its ``{{end}}``.

    ``{{else if …}}`` is a block of its own in ``otherwise``.
    """

    keyword: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node: TypeAlias = Text | Action | Block
