"""buildah as an ordinary user, with the isolation that needs least of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Kind
from benchmarks.machine import make_folder, remove_tree
from benchmarks.measure import Command

if TYPE_CHECKING:
    from benchmarks.machine import User
    from benchmarks.peers import Peers


@dataclass(frozen=True, slots=True)
class Buildah:
    """``folder`` holds its store."""

    peers: Peers
    user: User
    folder: str

    @property
    def name(self) -> str:
        return "buildah"

    @property
    def kind(self) -> Kind:
        return Kind.BUILDAH

    def version(self) -> str:
        words = self.peers.ask("buildah", "--version").split()
        return f"buildah {words[2] if len(words) > 2 else 'missing'} (user, --isolation chroot --layers)"

    def daemons(self) -> tuple[int, ...]:
        return ()

    def empty(self) -> None:
        remove_tree(self.folder)
        make_folder(self.folder, self.user)

    def build(self, context: str, tag: str) -> Command:
        store = ("--root", os.path.join(self.folder, "root"), "--runroot", os.path.join(self.folder, "runroot"))
        how = ("--isolation", "chroot", "--layers", "--tls-verify=false")
        argv = ("buildah", *store, "build", *how, "--tag", tag, context)
        return Command((*self.peers.prefix, *self.user.become(argv)), self.user.environment())
