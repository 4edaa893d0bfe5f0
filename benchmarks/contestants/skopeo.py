"""skopeo, which copies images and has no store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import make_folder, remove_tree
from benchmarks.measure import Command

if TYPE_CHECKING:
    from benchmarks.machine import User
    from benchmarks.peers import Peers

_PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


class Skopeo(Contestant):
    """``folder`` holds an OCI layout, from which it pushes."""

    name = "skopeo"

    def __init__(self, peers: Peers, user: User, folder: str) -> None:
        self._peers = peers
        self._user = user
        self._folder = folder

    def version(self) -> str:
        return f"skopeo {' '.join(self._peers.ask('skopeo', '--version').split()[2:3])} (pushes from an OCI layout)"

    def empty(self) -> None:
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def copy(self, source: str, destination: str) -> Command:
        return self._copy(f"docker://{source}", f"docker://{destination}")

    def keep(self, reference: str) -> Command:
        return self._copy(f"docker://{reference}", self._kept(reference))

    def push(self, reference: str, destination: str) -> Command:
        return self._copy(self._kept(reference), f"docker://{destination}")

    def _kept(self, reference: str) -> str:
        return f"oci:{os.path.join(self._folder, 'layout')}:{reference.rpartition(':')[2]}"

    def _copy(self, source: str, destination: str) -> Command:
        argv = self._user.become(("skopeo", "copy", *_PLAIN, source, destination))
        return Command((*self._peers.prefix, *argv), self._user.environment())
