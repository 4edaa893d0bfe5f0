"""Changes of permission bits as ``--chmod`` takes them: ``755``, ``u=rwX,go=rX``.

The symbolic ones are those of BSD's setmode(3), on which docker's library rests, with its corners: several operators
in a clause (``u=rw-x``), classes to copy from beside letters (``g=u``, ``go=u-w``), ``X`` judged by the mode before any
change, and a ``t`` without a class that takes the other letters of its clause along. Without a class all are meant.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

_OCTAL = r"0*[0-7]{1,4}"
_CLAUSE = r"([augo]*)((?:[-+=][rwxXstugo]*)+)"
_OPERATION = r"([-+=])([rwxXstugo]*)"
_SET_ID, _STICKY, _EXECUTE = 0o6000, 0o1000, 0o111
_ALL = 0o6777  # what ``a`` means: all but the sticky bit
_CLASSES = {"a": _ALL, "u": 0o4700, "g": 0o2070, "o": 0o007}
_LETTERS = {"r": 0o444, "w": 0o222, "x": _EXECUTE, "s": _SET_ID, "t": _STICKY}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_MAX_LENGTH = 4096


class _Change(NamedTuple):
    """One change: ``bits`` are set or cleared; or the permissions of the class ``copied`` are put on those of ``who``.

    ``if_executable`` is for directories, and for what was executable before all changes.
    """

    operator: str
    bits: int = 0
    if_executable: bool = False
    copied: str = ""
    who: int = 0


@dataclass(frozen=True, slots=True)
class ModeChange:
    """What ``--chmod`` does to the mode of each file; ``text`` is it as written, ``octal`` the mode it is, if it is."""

    text: str
    octal: int | None
    _changes: tuple[_Change, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> ModeChange:
        """Return what ``text`` says; raises ValueError where it says nothing."""
        if len(text) > _MAX_LENGTH:
            raise ValueError(f"invalid mode: it is longer than {_MAX_LENGTH} characters")
        if re.fullmatch(_OCTAL, text):
            return cls(text, int(text, 8))
        if text[:1].isdigit():
            raise ValueError(f"invalid mode {text!r}: in digits it is octal, between 0 and 07777")
        return cls(text, None, tuple(_parse(text)))

    def apply(self, mode: int, *, is_directory: bool) -> int:
        """Return the permission bits that a file with ``mode`` gets."""
        if self.octal is not None:
            return self.octal
        changed = mode
        executable = is_directory or bool(mode & _EXECUTE)
        for change in self._changes:
            if executable or not change.if_executable:
                changed = _applied(change, changed)
        return changed


def _parse(text: str) -> Iterator[_Change]:
    for clause in text.split(","):
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            raise ValueError(f"invalid mode {text!r}: it is octal, or like u=rwX,go=rX")
        who = 0
        for letter in match[1]:
            who |= _CLASSES[letter]
        for operator, letters in re.findall(_OPERATION, match[2]):
            yield from _Operation(operator, who).changes(letters)


class _Operation:
    """One operator of a clause and what follows it, read from the left; no class is a ``who`` of 0."""

    def __init__(self, operator: str, who: int) -> None:
        self._operator = operator
        self._who = who
        self._bits = 0
        self._conditional = 0
        self._is_done = False  # the right side has put something in the place of what ``=`` takes away

    def changes(self, letters: str) -> Iterator[_Change]:
        for letter in letters:
            if letter in _SHIFTS:
                yield from self._collected()
                self._is_done = True
                yield _Change(self._operator, copied=letter, who=self._who or _ALL)
            elif letter == "X":
                self._conditional = _EXECUTE
            elif letter in "rwx" or self._who == 0 or self._who & ~0o007:  # no s and t for others alone
                self._bits |= _LETTERS[letter]
                self._who |= _STICKY if letter == "t" else 0
        if self._operator == "=" and not self._is_done:
            yield _Change("-", self._who or _ALL)
            self._is_done = True
            yield _Change("+", self._meant(self._bits))
            self._bits = 0
        yield from self._collected()

    def _collected(self) -> Iterator[_Change]:
        """Yield what the letters so far mean; before a class to copy from they come on their own."""
        if self._bits:
            if self._operator == "=":
                yield _Change("-", self._who or _ALL)
            yield _Change("-" if self._operator == "-" else "+", self._meant(self._bits))
        if self._conditional:
            yield _Change("-" if self._operator == "-" else "+", self._meant(self._conditional), if_executable=True)
        self._bits = self._conditional = 0

    def _meant(self, bits: int) -> int:
        return bits & self._who if self._who else bits


def _applied(change: _Change, mode: int) -> int:
    if not change.copied:
        return mode | change.bits if change.operator == "+" else mode & ~change.bits
    found = mode >> _SHIFTS[change.copied] & 0o7
    mask = sum(0o7 << shift for name, shift in _SHIFTS.items() if change.who & 0o4 << shift)
    copied = found * 0o111 & mask
    match change.operator:
        case "+":
            return mode | copied
        case "-":
            return mode & ~copied
        case _:
            return mode & ~mask | copied
