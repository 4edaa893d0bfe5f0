"""proot itself: the program found, and tried."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.errors import SandboxError
from ocibuild.sandbox import ProgramSpec
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ocibuild.sandbox import Running

    # gives a program its standard input, output and error, and ends it with the block
    Start: TypeAlias = Callable[[ProgramSpec, int, int, int], AbstractContextManager[Running]]

# calls that take a path and that no version translates; that of fork is one that it does not follow
_UNKNOWN = (
    "clone3", "execveat", "fchmodat2", "file_getattr", "file_setattr", "fsopen", "fspick", "getxattrat",
    "io_uring_setup", "listxattrat", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "openat2",
    "removexattrat", "setxattrat",
)  # fmt: skip
_UNKNOWN_BEFORE_5_2 = ("faccessat2", "statx")
_OLDEST = (5, 1)
TAKE_NEWER = "install proot 5.1 or newer"
"""What is to be done about one that is too old."""
LOADER = "PROOT_LOADER"
SCRATCH = "PROOT_TMP_DIR"
NO_SECCOMP = "PROOT_NO_SECCOMP"  # else 5.4 waits for a filter of its own to tell it of calls, and translates none
_SHOWN, _COVERED = "/proc/version", "/proc/filesystems"  # files of one line and of others, on every machine


@dataclass(frozen=True, slots=True)
class Proot:
    """A proot that works here: its path and version, and its loader, a program that other users must reach too."""

    path: str
    version: tuple[int, ...]
    loader: bytes

    @property
    def unknown(self) -> list[str]:
        """The system calls that it does not know."""
        return [*_UNKNOWN, *(_UNKNOWN_BEFORE_5_2 if (0,) < self.version < (5, 2) else ())]


def find_proot(named: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the path of proot: that in ``OCIBUILD_PROOT``, else the one ``named``, else what is on PATH.

    Raises SandboxError where one that is named is no program.
    """
    for source, path in (("OCIBUILD_PROOT", environ.get("OCIBUILD_PROOT")), ("[build] proot", named)):
        if path:
            if not os.access(path, os.X_OK):
                raise SandboxError(f"{source}: {path}: no such program", remedy="give the path of proot")
            return os.path.abspath(path)
    return shutil.which("proot", path=environ.get("PATH"))


def try_proot(path: str, start: Start, scratch: str) -> Proot:
    """Return the proot at ``path`` once it has shown a file elsewhere than it is; raise SandboxError.

    ``scratch`` is a directory for its files.
    """
    said = _said_by(start, ProgramSpec(path, [path, "--version"], {}, "/"))
    found = re.search(r"\b(\d+)\.(\d+)(?:\.(\d+))?\b", said)
    version = tuple(int(part or 0) for part in found.groups()) if found else (0,)
    if (0,) < version < _OLDEST:
        raise SandboxError(f"{path} is proot {'.'.join(map(str, version))}, which is too old", remedy=TAKE_NEWER)
    return Proot(path, version, _loader(Proot(path, version, b""), start, scratch))


def _loader(proot: Proot, start: Start, scratch: str) -> bytes:
    """Return the program that proot starts all others with, once a shell has read a file where only proot shows it."""
    shell = os.path.realpath("/bin/sh")
    script = f'read -r line <{_COVERED}; echo "$$ $line"; read -r line'
    args = [proot.path, "-v", "-1", "-r", "/", "-b", f"{_SHOWN}:{_COVERED}", "-w", "/", shell, "-c", script]
    env = {"PATH": "/usr/bin:/bin", NO_SECCOMP: "1", SCRATCH: scratch}
    spec = ProgramSpec(proot.path, args, env, "/", unknown=proot.unknown)
    with _piped(start, spec) as (answer, out):
        pid, _, line = os.read(out, 4096).decode("utf-8", "replace").strip().partition(" ")
        with open(_SHOWN, encoding="utf-8") as file:
            if line != file.readline().strip():
                said = (
                    f"{pid} {line}" if line and not pid.isdecimal() else "it does not show the files that it is told to"
                )
                raise SandboxError(f"{proot.path} does not work here: {' '.join(said.split())}", remedy=_remedy(said))
        with open(f"/proc/{pid}/exe", "rb") as program:
            loader = program.read()
        os.write(answer, b"\n")
    return loader


def _remedy(said: str) -> str:
    """Return what to do about what proot says; 5.1 has no other place than /tmp for its loader, whatever it is told."""
    if os.statvfs("/tmp").f_flag & os.ST_NOEXEC:  # noqa: S108  (it is proot that uses it)
        return "mount /tmp so that programs in it can be run: docker run --tmpfs /tmp:exec"
    return "let it write to /tmp" if "temporary file" in said else "allow ptrace(2), or install a newer proot"


def _said_by(start: Start, spec: ProgramSpec) -> str:
    """Return what a program prints."""
    with _piped(start, spec) as (_, out):
        said = b""
        while piece := os.read(out, 4096):
            said += piece
    return said.decode("utf-8", "replace")


@contextmanager
def _piped(start: Start, spec: ProgramSpec) -> Iterator[tuple[int, int]]:
    """Start a program; give the end that it reads of, and one of all that it prints. It is ended with the block."""
    with ExitStack() as cleanup:
        with ExitStack() as theirs:
            stdin, answer = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, stdin)
            cleanup.callback(os.close, answer)
            out, stdout = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, stdout)
            cleanup.callback(os.close, out)
            cleanup.enter_context(start(spec, stdin, stdout, stdout))
        yield answer, out
