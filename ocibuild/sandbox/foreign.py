"""How a step runs programs that are made for another processor than the machine's, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


_FLAGS = "OCF"  # the program is opened for the interpreter, whose IDs it changes, and which was opened when registered
_KEEPS_ARGV0 = "P"
REMEDY = "install qemu-user-static"


class Handler(NamedTuple):
    """What has programs that begin with ``pattern``, in the bits of ``mask``, run by ``interpreter``.

    The two are in hexadecimal. ``keeps_argv0`` gives the interpreter one more argument: what the program was called.
    """

    name: str
    pattern: str
    mask: str
    interpreter: str
    keeps_argv0: bool

    @property
    def registration(self) -> str:
        """The line that binfmt_misc is given, see its page in the kernel's documentation."""
        flags = _FLAGS + (_KEEPS_ARGV0 if self.keeps_argv0 else "")
        return f":{self.name}:M:0:{_escaped(self.pattern)}:{_escaped(self.mask)}:{self.interpreter}:{flags}"


def _escaped(value: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in bytes.fromhex(value))


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

    ``handlers`` are registered in a binfmt_misc, that of a user namespace of the step's. ``emulator`` is put before
    the command instead; what the command starts is then not emulated. With neither, the kernel runs them by itself;
    ``short`` has it tell them of a machine of 32 bits. ``works`` is False where no way was found;
    ``remedy`` is what to do then.
    """

    platform: str
    handlers: Sequence[Handler] = ()
    emulator: Emulator | None = None
    short: bool = False
    works: bool = True
    remedy: str = REMEDY

    @classmethod
    def load(cls, value: Sequence[object] | None) -> Foreign | None:
        """Return what was written as JSON."""
        if value is None:
            return None
        found = cls(*value)  # type: ignore[arg-type]
        handlers = [Handler(*handler) for handler in found.handlers]
        return found._replace(handlers=handlers, emulator=found.emulator and Emulator(*found.emulator))
