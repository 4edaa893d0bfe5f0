"""buildah as an ordinary user, with the isolation that needs least of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import make_folder, remove_tree
from benchmarks.measure import Command
from benchmarks.peers import output_of

if TYPE_CHECKING:
    from benchmarks.machine import User
    from benchmarks.peers import Peers


class Buildah(Contestant):
    """``folder`` holds its store."""

    name = "buildah"

    def __init__(self, peers: Peers, user: User, folder: str) -> None:
        self._peers = peers
        self._user = user
        self._folder = folder

    def version(self) -> str:
        words = self._peers.ask("buildah", "--version").split()
        info = self._command("info", "--format", "{{.store.GraphDriverName}}")
        driver = output_of(info.argv, info.env) or "unknown storage"
        return f"buildah {' '.join(words[2:3])} (user, {driver}, --isolation chroot --layers)"

    def empty(self) -> None:
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def build(self, context: str, tag: str) -> Command:
        how = ("--isolation", "chroot", "--layers", "--tls-verify=false")
        return self._command("build", *how, "--tag", tag, context)

    def _command(self, *arguments: str) -> Command:
        store = ("--root", os.path.join(self._folder, "root"), "--runroot", os.path.join(self._folder, "runroot"))
        argv = self._user.become(("buildah", *store, *arguments))
        return Command((*self._peers.prefix, *argv), self._user.environment())
