"""ocibuild, as root or as an ordinary user."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import hollow, make_folder, remove_tree
from benchmarks.measure import Command, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine import User

_SYSTEM_PYTHON = "/usr/bin/python3"
_PLAIN = ("--progress", "plain")


class Ocibuild(Contestant):
    """``program`` is how it is started, in the folder ``cwd``; ``folder`` holds its stores.

    ``row`` is a name for what is otherwise than for root and for a user with a range of IDs; ``flags`` are those that
    run a step so.
    """

    def __init__(
        self,
        program: tuple[str, ...],
        user: User,
        folder: str,
        cwd: str = "/",
        *,
        row: str = "",
        flags: tuple[str, ...] = (),
    ) -> None:
        self.name = f"ocibuild, {row or ('user' if user.uid else 'root')}"
        self._flags = flags
        self._program = program
        self._user = user
        self._folder = folder
        self._number = 0
        self._cwd = cwd

    def version(self) -> str:
        started = " ".join(map(os.path.basename, self._program))
        python = os.path.join(os.path.dirname(self._program[0]), "python")
        return f"{_first_line(self._command('version'))}, as {started} with {_first_line(Command((python, '-V'), {}))}"

    def empty(self) -> None:
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def renew(self) -> None:
        hollow(self._store)
        self._number += 1
        _first_line(self._in_store("images"))  # makes the new one

    def build(self, context: str, tag: str) -> Command:
        return self._in_store("build", "-t", tag, *_PLAIN, context)

    def build_and_push(self, context: str, reference: str) -> Command:
        return self._in_store("build", "--push", "-t", reference, *_PLAIN, context)

    def fill_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._in_store("build", "-t", tag, "--cache-to", _cache(cache), *_PLAIN, context)

    def build_from_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._in_store("build", "-t", tag, "--cache-from", _cache(cache), *_PLAIN, context)

    @contextmanager
    def elsewhere(self) -> Iterator[Contestant]:
        folder = f"{self._folder}-elsewhere"
        if not os.path.isdir(folder):
            make_folder(folder, self._user)
        yield Ocibuild(self._program, self._user, folder, self._cwd)

    def build_telling(self, context: str, *flags: str) -> Command:
        """Return the command that builds with flags, and tells of each step as JSON."""
        return self._in_store("build", *self._flags, *flags, "--progress", "rawjson", context)

    def run(self, reference: str, script: str) -> Command:
        return self._in_store("run", "--rm", *self._flags, reference, "sh", "-c", script)

    def pull(self, reference: str) -> Command:
        return self._in_store("pull", *_PLAIN, reference)

    def copy(self, source: str, destination: str) -> Command:
        return self._in_store("copy", *_PLAIN, f"docker://{source}", f"docker://{destination}")

    def keep(self, reference: str) -> Command:
        return self.pull(reference)

    def push(self, reference: str, destination: str) -> Command:
        return self._in_store("push", *_PLAIN, reference, destination)

    def load(self, archive: str) -> Command:
        return self._in_store("load", "-i", archive)

    def list_images(self) -> Command:
        return self._in_store("images")

    def place(self) -> str:
        return self._folder

    def save(self, reference: str, path: str) -> Command:
        return self._in_store("save", "-o", path, reference)

    @property
    def _store(self) -> str:
        return os.path.join(self._folder, f"root-{self._number}")

    def _in_store(self, *arguments: str) -> Command:
        return self._command("--root", self._store, *arguments)

    def _command(self, *arguments: str) -> Command:
        return Command(self._user.become((*self._program, *arguments)), self._user.environment(), self._cwd)


def install(checkout: str, folder: str) -> tuple[str, ...]:
    """Install the checkout into a new environment in ``folder``, made with the system's Python; return its program.

    An ordinary user can run it wherever the benchmark's own Python lies. Raises CommandFailed.
    """
    pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet", "--compile", checkout]
    for command in ([_SYSTEM_PYTHON, "-m", "venv", folder], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise CommandFailed((done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2])
    return (os.path.join(folder, "bin", "ocibuild"),)


def _cache(repository: str) -> str:
    return f"type=registry,ref={repository}:cache"


def _first_line(command: Command) -> str:
    try:
        done = subprocess.run(
            command.argv, env=command.env, cwd=command.cwd, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return (done.stdout or done.stderr).partition("\n")[0].strip()
