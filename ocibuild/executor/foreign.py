"""Programs for other processors: what can run them, and the ways to have it do so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.executor.elf import PROCESSORS, is_static, pattern
from ocibuild.oci import Platform
from ocibuild.sandbox import Emulator, Foreign, Handler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EMULATOR = "/dev/.ocibuild-emulator"
"""Where a step finds the emulator that is put before its command: in its own /dev, so in no layer."""

# qemu's names for architectures, where these are not our own
_QEMU_NAMES = {
    "386": "i386",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "mips64le": "mips64el",
}
# what a processor may run beside its own programs
_SHORT = {"amd64": "386", "arm64": "arm"}
_START = 4096  # of a program: the program headers come right after the header


def find_emulator(platform: Platform, folders: Sequence[str]) -> str | None:
    """Return the program of qemu-user that runs programs for ``platform``, the first in ``folders``.

    It must be static: the images that it works in have not the libraries of this machine.
    """
    architecture = platform.normalized().architecture
    if architecture not in PROCESSORS:
        return None
    name = f"qemu-{_QEMU_NAMES.get(architecture, architecture)}"
    paths = (os.path.join(folder, program) for program in (f"{name}-static", name) for folder in folders)
    return next((os.path.realpath(path) for path in paths if _is_static_program(path)), None)


def as_it_is(platform: Platform | None) -> Foreign | None:
    """Return how programs of ``platform`` are run where nothing can be set up: by the processor, or what is registered.

    None where they are this machine's.
    """
    host = Platform.host()
    if platform is None or platform.normalized().architecture == host.architecture:
        return None
    architecture = platform.normalized().architecture
    return Foreign(str(platform.normalized()), short=_SHORT.get(host.architecture) == architecture, works=False)


def _is_static_program(path: str) -> bool:
    if not os.path.isfile(path) or not os.access(path, os.R_OK | os.X_OK):
        return False
    with open(path, "rb") as file:
        return is_static(file.read(_START))


def ways(platform: Platform, host: Platform, emulator: str | None) -> Iterator[Foreign]:
    """Yield the ways in which programs for ``platform`` may run on ``host``, best first; each is to be tried.

    What the processor does comes first, and what the machine has registered after qemu in a namespace: there its own
    file cannot be changed by a step of root's. qemu is registered in a way that versions before 6.0 do not know, then
    in one that they do, and put before the command where nothing else works.
    """
    architecture = platform.normalized().architecture
    if architecture not in PROCESSORS:
        return
    by_itself = Foreign(str(platform), short=_SHORT.get(host.architecture) == architecture)
    if by_itself.short:
        yield by_itself
    start, mask = (half.hex() for half in pattern(PROCESSORS[architecture]))
    if emulator is not None:
        for keeps_argv0 in (True, False):
            handler = Handler(f"qemu-{architecture}", start, mask, emulator, keeps_argv0)
            yield Foreign(str(platform), handlers=[handler])
    if not by_itself.short:
        yield by_itself
    if emulator is not None:
        yield Foreign(str(platform), emulator=Emulator(emulator, EMULATOR, start, mask))
