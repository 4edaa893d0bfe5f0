"""Programs for other processors: what can run them, and the ways to have it do so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.executor.elf import PROCESSORS, is_static, pattern
from ocibuild.sandbox import Emulator, Foreign, registration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.oci import Platform

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
    return next((os.path.abspath(path) for path in paths if _is_static_program(path)), None)


def _is_static_program(path: str) -> bool:
    if not os.path.isfile(path) or not os.access(path, os.R_OK | os.X_OK):
        return False
    with open(path, "rb") as file:
        return is_static(file.read(_START))


def ways(platform: Platform, host: Platform, emulator: str | None) -> Iterator[Foreign]:
    """Yield the ways in which programs for ``platform`` may run on ``host``, best first; each is to be tried.

    What the machine does by itself comes first. qemu is registered in a way that versions before 6.0 do not know,
    then in one that they do, then put before the command.
    """
    architecture = platform.normalized().architecture
    if architecture not in PROCESSORS:
        return
    yield Foreign(str(platform), short=_SHORT.get(host.architecture) == architecture)
    if emulator is None:
        return
    start, mask = pattern(PROCESSORS[architecture])
    for keeps_argv0 in (True, False):
        handler = registration(f"qemu-{architecture}", start, mask, emulator, keeps_argv0=keeps_argv0)
        yield Foreign(str(platform), handlers=[handler])
    yield Foreign(str(platform), emulator=Emulator(emulator, EMULATOR, start.hex(), mask.hex()))
