"""What a build tells about itself while it runs, as plain data: made by the rooms that work, shown by ``progress``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from ocibuild.values import dataclass


class Stream(StrEnum):
    """Which stream of a step's process a piece of output came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Started:
    """Work on ``step`` begins; ``step`` is a small number, unique in a build, in order of first mention."""

    step: int
    label: str


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a step's process wrote, as it came: it may end in the middle of a line or of a character."""

    step: int
    stream: Stream
    text: bytes


@dataclass(frozen=True, slots=True)
class Transferred:
    """``done`` of ``total`` bytes of ``item`` (a short digest, a file name) were moved for ``step``.

    ``total`` is None where it is not known. ``verb`` says what happens: ``downloading``, ``unpacking``, ``uploading``,
    ``copying``, ``checking``, ``reading``.
    """

    step: int
    item: str
    verb: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Finished:
    """Work on ``step`` is over after ``seconds``; ``cached`` where nothing had to run, ``error`` where it failed.

    It was ``cancelled`` where it was ended for the sake of something else, such as the failure of another step.
    """

    step: int
    label: str
    seconds: float
    cached: bool = False
    error: str | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """Something about the work on ``step`` in one line, such as why it is not cached."""

    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a user should know, said once."""

    message: str


Event: TypeAlias = Started | Output | Transferred | Finished | Noted | Warned
Emit: TypeAlias = Callable[[Event], None]
"""Takes one event; safe to call from any thread; never blocks for long and never raises."""
