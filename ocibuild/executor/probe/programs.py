"""Checks of programs that a build uses where they are there."""

from __future__ import annotations

import os
import re
import shutil
import sys

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import Refused, attempt

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_WORD = "seen-under-proot"
_TEMPORARY = "/tmp"  # noqa: S108  (proot's choice)
_OUTPUT_LIMIT = 1 << 16


def check_proot(place: Place) -> Check:
    """Find proot, ask for its version, and run a program under it."""
    program = shutil.which("proot")
    if program is None:
        return Check("proot", passed=False, evidence="not on PATH", remedy=remedies.INSTALL_PROOT)
    folder = place.new_folder("proot")
    trial = attempt(lambda: _run_proot(program, folder))
    remedy = "" if trial.passed else remedies.for_proot(place.surroundings, _fault_of_temporary())
    version = _VERSION.search(trial.seen)
    return Check("proot", trial.passed, f"{program}, {trial.seen}", remedy, version[0] if version else "")


def _run_proot(program: str, folder: str) -> str:
    """Run a program that sees a directory under another name; return proot's version and what was seen."""
    _, text = _output([program, "--version"])
    found = _VERSION.search(text)
    version = f"version {found[0]}" if found else "of an unknown version"
    with open(os.path.join(folder, _WORD), "w", encoding="ascii") as file:
        file.write(_WORD)
    os.chdir(folder)  # a colon in its path would not be taken for a part of that
    status, text = _output([program, "-b", f".:/{_WORD}", *_reader(f"/{_WORD}/{_WORD}")])
    if status or _WORD not in text.split():
        said = (text.strip().splitlines() or [f"exit status {status}"])[0]
        raise Refused(f"{version}: a program does not run under it: {said}")
    return f"{version}: a program runs under it"


def _reader(path: str) -> list[str]:
    """Return a command that prints a file."""
    if cat := shutil.which("cat"):
        return [cat, path]
    return [sys.executable, "-I", "-S", "-c", "import sys; print(open(sys.argv[1]).read())", path]


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


def _output(command: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its exit status, and what it printed to either stream."""
    read, write = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
        (os.POSIX_SPAWN_DUP2, write, 2),
    ]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read(_OUTPUT_LIMIT).decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text
