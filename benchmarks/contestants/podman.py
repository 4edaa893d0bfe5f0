"""podman as an ordinary user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import hollow, make_folder, remove_tree
from benchmarks.measure import Command
from benchmarks.peers import output_of

if TYPE_CHECKING:
    from benchmarks.machine import User
    from benchmarks.peers import Peers

_RUNTIME = "runc"  # crun refuses machines with cgroups of both versions
_RUN = ("--rm", "--network", "host", "--ulimit", "host")


class Podman(Contestant):
    """``folder`` holds its stores."""

    name = "podman"

    def __init__(self, peers: Peers, user: User, folder: str) -> None:
        self._peers = peers
        self._user = user
        self._folder = folder
        self._number = 0

    def version(self) -> str:
        return f"podman {' '.join(self._peers.ask('podman', '--version').split()[2:3])} (user, {self._driver()})"

    def empty(self) -> None:
        self._ask("system", "migrate")  # ends the process that it leaves behind
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def renew(self) -> None:
        hollow(self._store)
        self._number += 1
        self._driver()  # the first command in a new store has to try what the kernel can do

    def pull(self, reference: str) -> Command:
        return self._command("pull", "--tls-verify=false", reference)

    def run(self, reference: str, script: str) -> Command:
        return self._command("--runtime", _RUNTIME, "run", *_RUN, reference, "sh", "-c", script)

    def place(self) -> str:
        return self._folder

    def save(self, reference: str, path: str) -> Command:
        return self._command("save", "-q", "-o", path, reference)

    @property
    def _store(self) -> str:
        return os.path.join(self._folder, f"root-{self._number}")

    def _driver(self) -> str:
        return self._ask("info", "--format", "{{.Store.GraphDriverName}}") or "unknown storage"

    def _ask(self, *arguments: str) -> str:
        command = self._command(*arguments)
        return output_of(command.argv, command.env)

    def _command(self, *arguments: str) -> Command:
        store = ("--root", self._store, "--runroot", os.path.join(self._folder, f"runroot-{self._number}"))
        argv = self._user.become(("podman", *store, *arguments))
        return Command((*self._peers.prefix, *argv), self._user.environment())
