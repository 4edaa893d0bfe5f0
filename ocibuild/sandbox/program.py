"""The program of a step: found in the root file system as a shell would, and executed."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.sandbox.foreign import Emulator, Foreign

_FIRST_LINE = 256  # what the kernel reads of a script: BINPRM_BUF_SIZE
_INTERPRETERS = 6  # it gives up at the sixth script that is the interpreter of another
# a program that is there, and cannot be run
_REMEDIES = {
    errno.EACCES: "make it executable, as COPY --chmod=755 does",
    errno.ENOEXEC: "it is for another processor, or a script without a line such as #!/bin/sh at its top",
}


class Command(NamedTuple):
    """A program found in the root, and what execve(2) needs to run it."""

    path: str
    args: list[str]
    env: dict[str, str]


def explain(error: OSError) -> str:
    """Return what went wrong, with the name that it is about."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def find_command(
    args: list[str],
    env: Sequence[str],
    *,
    home: str,
    working_dir: str,
    emulator: Emulator | None,
    makes_directory: bool = True,
) -> Command:
    """Go to the working directory, and find the program as a shell would, in the PATH of the step.

    Where it comes to one for the emulator, that is put before it. ``makes_directory`` is as in StepSpec.
    """
    variables = dict(entry.partition("=")[::2] for entry in env)
    variables.setdefault("HOME", home or "/")
    change_directory(working_dir, make=makes_directory)
    if not args:
        raise SandboxError("there is no command to run")
    path = _search(args[0], variables.get("PATH", ""))
    last, words, start = _follow_scripts(path, args)
    if emulator is not None and emulator.runs(start):  # it knows no scripts
        path, args = emulator.path, [emulator.path, "-0", words[0], last, *words[1:]]
    return Command(path, args, variables)


def change_directory(path: str, *, make: bool = True) -> None:
    """Go to ``path``; as with docker, it is made where it is missing, and stays. Raises CannotStart unless ``make``."""
    try:
        if not os.path.lexists(path):
            if not make:
                raise no_directory(path)
            os.makedirs(path, 0o755)
        fd = syscalls.open_without_magic(path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise SandboxError(f"working directory {path}: {error.strerror}") from error
    os.fchdir(fd)
    os.close(fd)


def no_directory(path: str) -> CannotStart:
    """Return the error of one more process whose working directory the container does not have."""
    return CannotStart(
        f"working directory {path}: {os.strerror(errno.ENOENT)}", exit_status=127, remedy="make it first"
    )


def _search(name: str, search_path: str) -> str:
    if "/" in name:
        return name
    for folder in search_path.split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise not_on_path(name)


def not_on_path(name: str) -> CannotStart:
    """Return the error of a program that no folder of PATH has."""
    return CannotStart(f"{name}: executable file not found in $PATH", exit_status=127, remedy="install it in the image")


def _follow_scripts(path: str, args: list[str]) -> tuple[str, list[str], bytes]:
    """Return the program that a command comes to, past all scripts, its arguments, and how its file begins.

    Raises OSError where a link of /proc leads to one of them, such as /proc/self/exe: that is still our interpreter, a
    file of this machine, and whoever runs as it could write to it (CVE-2019-5736).
    """
    start = _read_start(path)
    for _ in range(_INTERPRETERS):
        words = _interpreter(start)
        if not words:
            break
        args = [*words, path, *args[1:]]
        path = words[0]
        start = _read_start(path)
    return path, args, start


def _read_start(path: str) -> bytes:
    fd = syscalls.open_without_magic(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, _FIRST_LINE)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def _interpreter(start: bytes) -> list[str]:
    """Return the program that the first line of a script names, and its argument where it has one; else nothing."""
    if not start.startswith(b"#!"):
        return []
    words = start[2:].partition(b"\n")[0].replace(b"\0", b" ").strip().split(maxsplit=1)
    return [os.fsdecode(word) for word in words]


def execute(command: Command, *, foreign: Foreign | None = None) -> NoReturn:
    """Become the program; raise CannotStart or SandboxError where that cannot be."""
    if foreign and foreign.short:
        syscalls.say_short_machine()
    try:
        os.execve(command.path, command.args, command.env)
    except FileNotFoundError as error:  # it was there to be read
        raise CannotStart(f"{command.path}: its dynamic linker is not in the image", exit_status=127) from error
    except OSError as error:
        if error.errno == errno.ENOEXEC and foreign and not foreign.works:
            raise CannotStart(
                f"{command.path}: this machine runs no programs for {foreign.platform}",
                exit_status=126,
                remedy=foreign.remedy,
            ) from error
        raise CannotStart(explain(error), exit_status=126, remedy=_REMEDIES.get(error.errno or 0)) from error
    except ValueError as error:
        raise SandboxError(f"the command or its environment cannot be given to a process: {error}") from error
