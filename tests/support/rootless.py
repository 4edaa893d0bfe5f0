"""An ordinary user to run ocibuild as: another one where the tests run as root, else the one that runs them."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.remove import remove
from tests.support.cache import cache_folder, locked
from tests.support.setup_peers import ORDINARY_USER, SYSTEM_PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHECKOUT = Path(__file__).parents[2]
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_KEPT_SECONDS = 24 * 3600
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """Runs commands with an environment of its own: ``ocibuild`` on PATH, and ``home``, empty at first."""

    account: Account
    programs: Path
    home: Path

    def run(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; ``cwd`` is ``home`` unless another is given, ``timeout`` is in seconds."""
        return subprocess.run(
            [str(word) for word in words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **self._settings(cwd, environ),
        )

    def start(
        self, *words: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its standard streams are pipes, both outputs in one."""
        return subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            **self._settings(cwd, environ),
        )

    def give(self, path: Path) -> Path:
        """Make ``path``, and what is below it, the user's own; returns it."""
        if os.geteuid() == 0:
            for owned in (path, *path.rglob("*")):
                os.chown(owned, self.account.uid, self.account.gid, follow_symlinks=False)
        return path

    def _settings(self, cwd: Path | None, environ: Mapping[str, str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {"cwd": cwd or self.home, "env": {**self._environ(), **(environ or {})}}
        if os.geteuid() == 0:
            name, gid = self.account.name, self.account.gid
            settings |= {"user": self.account.uid, "group": gid, "extra_groups": os.getgrouplist(name, gid)}
        return settings

    def _environ(self) -> dict[str, str]:
        name = self.account.name
        path = f"{self.programs}:{_PATH}"
        return {"HOME": str(self.home), "USER": name, "LOGNAME": name, "PATH": path, "LANG": "C.UTF-8"}


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Yield the user with a home of its own, which is removed at the end. Skips where there is none."""
    account, programs = _account(), installed_programs()
    home = new_home()
    user = OrdinaryUser(account, programs, home)
    try:
        yield OrdinaryUser(account, programs, user.give(home))
    finally:
        remove(str(home))


def new_home() -> Path:
    """Make a folder for what a user writes; podman takes its path for an image's name, where a ``_`` may not stand."""
    home = Path("/tmp") / f"ocibuild-home-{secrets.token_hex(8)}"
    home.mkdir(mode=0o700)
    return home


def _account() -> Account:
    if os.geteuid() != 0:
        return Account(os.environ.get("USER", "user"), os.geteuid(), os.getegid())
    try:
        found = pwd.getpwnam(ORDINARY_USER)
    except KeyError:
        pytest.skip(f"left out: there is no user {ORDINARY_USER}")
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


@cache
def installed_programs() -> Path:
    """Return the folder that has ``ocibuild``: of an environment that every user can read; one for all of a run."""
    if os.geteuid() != 0:
        return Path(sys.executable).parent
    return made_of_sources("venv", _install) / "bin"


def made_of_sources(kind: str, make: Callable[[Path], None]) -> Path:
    """Return a folder in the cache that ``make`` makes, where it stays, once for each version of the sources.

    What is of other versions and nobody used for a day is removed: the tests of another checkout may run from theirs.
    """
    with locked(f"{kind}-{_version_of_sources()}") as folder:
        complete = folder / "complete"
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            run_checked("chmod", "-R", "a+rX", folder)
            _remove_old(kind)
        complete.touch()
    return folder


def _version_of_sources() -> str:
    total = hashlib.sha256(SYSTEM_PYTHON.encode())
    files = [CHECKOUT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    for folder in ("ocibuild", "schemas"):
        files += (path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files):
        total.update(f"{path.relative_to(CHECKOUT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def _install(folder: Path) -> None:
    """Install the package as a user would, with the system's Python: root's own may be closed to others."""
    run_checked(SYSTEM_PYTHON, "-m", "venv", folder)
    run_checked(folder / "bin/python", *PIP, "install", CHECKOUT)


def _remove_old(kind: str) -> None:
    for complete in cache_folder().glob(f"{kind}-*/complete"):
        if complete.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(complete.parent, ignore_errors=True)
            complete.parent.with_name(f"{complete.parent.name}.lock").unlink(missing_ok=True)


def run_checked(*words: str | Path) -> None:
    """Run a command that must succeed."""
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(map(str, words))} failed:\n{result.stdout}{result.stderr}")
