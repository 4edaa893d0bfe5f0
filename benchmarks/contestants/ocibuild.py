"""ocibuild, as root or as an ordinary user."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Kind
from benchmarks.machine import make_folder, remove_tree
from benchmarks.measure import Command, CommandFailed

if TYPE_CHECKING:
    from benchmarks.machine import User

_SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Ocibuild:
    """``program`` is how it is started, in the folder ``cwd``; ``store`` is its ``--root``."""

    program: tuple[str, ...]
    user: User
    store: str
    cwd: str = "/"

    @property
    def name(self) -> str:
        return "ocibuild, root" if self.user.uid == 0 else "ocibuild, user"

    @property
    def kind(self) -> Kind:
        return Kind.OCIBUILD

    def version(self) -> str:
        command = self._command("version")
        done = subprocess.run(command.argv, env=command.env, cwd=self.cwd, capture_output=True, text=True, check=False)
        first = (done.stdout or done.stderr).partition("\n")[0].strip()
        return f"{first} ({' '.join(os.path.basename(part) for part in self.program)})"

    def daemons(self) -> tuple[int, ...]:
        return ()

    def empty(self) -> None:
        remove_tree(self.store)
        make_folder(self.store, self.user)

    def build(self, context: str, tag: str) -> Command:
        return self._command("build", "-t", tag, "--root", self.store, "--progress", "plain", context)

    def _command(self, *arguments: str) -> Command:
        return Command(self.user.become((*self.program, *arguments)), self.user.environment(), self.cwd)


def install(checkout: str, folder: str) -> tuple[str, ...]:
    """Install the checkout into a new environment in ``folder``, made with the system's Python; return its program.

    An ordinary user can run it wherever the benchmark's own Python lies. Raises CommandFailed.
    """
    python = os.path.join(folder, "bin", "python")
    for command in (
        [_SYSTEM_PYTHON, "-m", "venv", folder],
        [python, "-m", "pip", "install", "--quiet", "--compile", checkout],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise CommandFailed((done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2])
    return (os.path.join(folder, "bin", "ocibuild"),)
