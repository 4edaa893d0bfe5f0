"""Checks of programs that a build uses where they are there."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import attempt
from ocibuild.executor.proot import TAKE_NEWER, try_proot
from ocibuild.sandbox import Spawner

if TYPE_CHECKING:
    from ocibuild.sandbox import ProgramSpec, Running

_TEMPORARY = "/tmp"  # noqa: S108  (proot's choice)


def check_proot(place: Place) -> Check:
    """Find the proot that a build would take, and run a program under it as that does."""
    try:
        program = place.find_proot()
    except SandboxError as error:
        return Check("proot", passed=False, evidence=error.message, remedy=error.remedy or "")
    if program is None:
        return Check("proot", passed=False, evidence="not on PATH", remedy=remedies.INSTALL_PROOT)
    folder = place.new_folder("proot")
    trial = attempt(lambda: _try_proot(program, folder))
    if trial.passed:
        return Check("proot", True, f"{program}, version {trial.seen}: a program runs under it", value=trial.seen)
    fitting = remedies.for_proot(place.surroundings, _fault_of_temporary())
    return Check("proot", False, trial.seen, trial.remedy if trial.remedy == TAKE_NEWER else fitting)


def _try_proot(program: str, folder: str) -> str:
    """Return its version; raise SandboxError where it does not work."""
    with closing(Spawner.start(namespaced=False)) as spawner:

        def start(spec: ProgramSpec, stdin: int, stdout: int, stderr: int) -> closing[Running]:
            return closing(spawner.run(spec, stdin=stdin, stdout=stdout, stderr=stderr))

        return ".".join(map(str, try_proot(program, start, folder).version))


def _fault_of_temporary() -> str:
    """Return what is wrong with /tmp, whatever TMPDIR says: proot writes its loader there, and runs it."""
    if not os.access(_TEMPORARY, os.W_OK | os.X_OK):
        return f"{_TEMPORARY} cannot be written to"
    return f"{_TEMPORARY} is mounted noexec" if os.statvfs(_TEMPORARY).f_flag & os.ST_NOEXEC else ""


def check_pasta(_place: Place) -> Check:
    """Find pasta, which gives a step a network of its own."""
    program = shutil.which("pasta")
    return Check("pasta", program is not None, program or "not on PATH", "" if program else remedies.INSTALL_PASTA)


def check_qemu(_place: Place) -> Check:
    """Find the static programs that run those of other processors."""
    found = sorted(_programs_on_path(re.compile(r"qemu-(\w+)-static")))
    evidence = f"{len(found)} on PATH" if found else "none on PATH"
    return Check("qemu-user-static", bool(found), evidence, "" if found else remedies.INSTALL_QEMU, " ".join(found))


def _programs_on_path(pattern: re.Pattern[str]) -> set[str]:
    found = set()
    for folder in os.get_exec_path():
        if os.path.isdir(folder):
            found |= {match[1] for name in os.listdir(folder) if (match := pattern.fullmatch(name))}
    return found
