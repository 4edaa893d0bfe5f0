"""How a step runs programs that are made for another processor than the machine's, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Emulator(NamedTuple):
    """A program such as qemu-user: ``source`` on this machine, shown to a step at ``path``.

    It runs programs that begin with ``pattern``, in the bits of ``mask``; both are in hexadecimal.
    """

    source: str
    path: str
    pattern: str
    mask: str

    def runs(self, start: bytes) -> bool:
        """Tell whether a file that begins with ``start`` is a program for it."""
        wanted, mask = bytes.fromhex(self.pattern), bytes.fromhex(self.mask)
        return len(start) >= len(mask) and bytes(map(int.__and__, start, mask)) == wanted


class Foreign(NamedTuple):
    """One way to run the programs of ``platform``.

    ``handlers`` are registrations for binfmt_misc, made in a user namespace of the step's. ``emulator`` is put before
    the command instead; what the command starts is then not emulated. With neither, the kernel runs them by itself;
    ``short`` has it tell them of a machine of 32 bits. ``works`` is False where no way was found.
    """

    platform: str
    handlers: Sequence[str] = ()
    emulator: Emulator | None = None
    short: bool = False
    works: bool = True

    @classmethod
    def load(cls, value: Sequence[object] | None) -> Foreign | None:
        """Return what was written as JSON."""
        if value is None:
            return None
        found = cls(*value)  # type: ignore[arg-type]
        return found._replace(emulator=found.emulator and Emulator(*found.emulator))
