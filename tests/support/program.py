"""ocibuild as a user has it: installed, run as a subprocess, by root or by an ordinary user, with a home of its own."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.remove import remove
from tests.support.cases import copy_case
from tests.support.lab import LONELY
from tests.support.peers import require_root
from tests.support.rootless import Account, OrdinaryUser, installed_programs, new_home, ordinary_user

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_STEP = re.compile(r"#(\d+) (\[.*)")
_OUTCOME = re.compile(r"#(\d+) (CACHED|DONE|ERROR)\b")
_OUTPUT = re.compile(r"#(\d+) [0-9.]+ (.*)")


@dataclass(frozen=True, slots=True)
class Built:
    """What a build printed: ``steps`` has the outcome of each step by its label, ``output`` the lines steps wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def image_id(self) -> str:
        return self.stdout.strip()

    @property
    def steps(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        found: dict[str, str] = {}
        for line in self.stderr.splitlines():
            if step := _STEP.fullmatch(line):
                labels[step[1]] = step[2]
            elif (outcome := _OUTCOME.match(line)) and outcome[1] in labels:
                found[labels[outcome[1]]] = outcome[2]
        return found

    @property
    def output(self) -> list[str]:
        return [line[2] for text in self.stderr.splitlines() if (line := _OUTPUT.fullmatch(text))]

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.stderr.splitlines() if line.startswith("ocibuild")]

    def ran(self, part: str = "") -> list[str]:
        """Return the labels of the steps that ran, of those that contain ``part``."""
        return [label for label, outcome in self.steps.items() if outcome == "DONE" and part in label]

    def cached(self, part: str = "") -> list[str]:
        """Return the labels of the steps that were cached, of those that contain ``part``."""
        return [label for label, outcome in self.steps.items() if outcome == "CACHED" and part in label]


@dataclass(frozen=True, slots=True)
class Program:
    """ocibuild, run by ``user``, its store in the user's home unless ``--root`` says otherwise."""

    user: OrdinaryUser

    @property
    def store(self) -> Path:
        return self.user.home / ".local/share/ocibuild"

    def run(
        self, *words: str | Path, environ: Mapping[str, str] | None = None, stdin: str = "", timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ocibuild, whatever becomes of it."""
        return self.user.run("ocibuild", *words, environ=environ, stdin=stdin, timeout=timeout)

    def check(self, *words: str | Path, stdin: str = "") -> str:
        """Run a command of ocibuild that must succeed, and return its output."""
        result = self.run(*words, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a command of ocibuild."""
        return self.user.start("ocibuild", *words)

    def try_build(self, context: str | Path, *words: str | Path, root: Path | None = None) -> Built:
        """Build, whatever becomes of it."""
        where = ("--root", root) if root else ()
        result = self.user.run("ocibuild", *where, "build", "--progress", "plain", *words, context)
        return Built(result.returncode, result.stdout, result.stderr)

    def build(self, context: str | Path, *words: str | Path, root: Path | None = None) -> Built:
        """Build, which must succeed."""
        built = self.try_build(context, *words, root=root)
        assert built.status == 0, built.stderr
        return built

    def context(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """Write a build context of the user's; what was in it before is gone."""
        folder = self.user.home / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path, content in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.user.give(folder)

    def case(self, name: str) -> Path:
        """Return a new copy of the context of a case, of the user's own."""
        folder = self.user.home / f"case-{name}"
        shutil.rmtree(folder, ignore_errors=True)

        def prepare(script: str) -> None:
            self.user.give(folder)  # before: it takes setuid bits away
            done = self.user.run("sh", "-eu", cwd=folder, stdin=script)
            assert done.returncode == 0, done.stderr

        return copy_case(name, folder, prepare)


@contextmanager
def program_of_root() -> Iterator[Program]:
    require_root()
    home = new_home()
    try:
        yield Program(OrdinaryUser(Account("root", 0, 0), installed_programs(), home))
    finally:
        remove(str(home))


@contextmanager
def program_of_ordinary_user() -> Iterator[Program]:
    with ordinary_user() as user:
        yield Program(user)


@contextmanager
def program_of_lonely_user() -> Iterator[Program]:
    """A user without a name, and so without a range: all that its builds have is one ID."""
    require_root()
    home = new_home()
    user = OrdinaryUser(Account(str(LONELY), LONELY, LONELY), installed_programs(), home)
    try:
        user.give(home)
        yield Program(user)
    finally:
        remove(str(home))


PROGRAMS = {"root": program_of_root, "rootless": program_of_ordinary_user}
ROWS = {**PROGRAMS, "one-id": program_of_lonely_user}
"""As whom a build may run: what a sandbox can do depends on it."""
