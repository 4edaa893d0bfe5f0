"""ocibuild as a user has it: installed, run as a subprocess, by root or by an ordinary user, with a home of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demo.remove import remove
from tests.support.peers import require_root
from tests.support.rootless import Account, OrdinaryUser, installed_programs, ordinary_user

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

_CASES = Path(__file__).parents[1] / "cases"
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
        """Return a copy of the context of a case, prepared, and with the modes it has in a fresh checkout."""
        folder = copy_case(name, self.user.home / f"case-{name}")
        return self.user.give(folder)


def case_names() -> list[str]:
    return sorted(path.name for path in _CASES.iterdir() if (path / "Dockerfile").exists())


def copy_case(name: str, folder: Path) -> Path:
    """Copy the context of a case to ``folder``."""
    shutil.copytree(_CASES / name, folder, symlinks=True)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return folder


def expected_tree(name: str) -> Path:
    """Return the file that says what a case changes of its base."""
    return _CASES / name / "expected"


@contextmanager
def program_of_root() -> Iterator[Program]:
    require_root()
    home = Path(tempfile.mkdtemp(prefix="ocibuild-home-", dir="/tmp"))
    try:
        yield Program(OrdinaryUser(Account("root", 0, 0), installed_programs(), home))
    finally:
        remove(str(home))


@contextmanager
def program_of_ordinary_user() -> Iterator[Program]:
    with ordinary_user() as user:
        yield Program(user)


PROGRAMS = {"root": program_of_root, "rootless": program_of_ordinary_user}
