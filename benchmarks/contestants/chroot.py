"""No more than a change of root: what a command takes by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import make_folder, remove_tree
from benchmarks.measure import Command

if TYPE_CHECKING:
    from benchmarks.machine import User


class Chroot(Contestant):
    """``unshare -r chroot`` of an ordinary user, in a tree in ``folder``."""

    name = "unshare -r chroot"

    def __init__(self, user: User, folder: str) -> None:
        self._user = user
        self._folder = folder

    def version(self) -> str:
        return "a user namespace with one ID, and chroot"

    def empty(self) -> None:
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def plant(self, tar: str) -> Command:
        """Return the command that makes the tree anew: as who runs the benchmark, and the user's in the end."""
        unpack = 'tar -C "$2" --no-same-owner --exclude="./dev/*" -xzf "$1"'
        script = f'rm -rf "$2" && mkdir "$2" && {unpack} && chown -R "$3" "$2"'
        owner = f"{self._user.uid}:{self._user.gid}"
        return Command(("sh", "-c", script, "sh", tar, self._tree, owner), self._user.environment())

    def run(self, reference: str, script: str) -> Command:  # noqa: ARG002  (it has one tree)
        argv = ("unshare", "-r", "chroot", self._tree, "sh", "-c", script)
        return Command(self._user.become(argv), self._user.environment())

    @property
    def _tree(self) -> str:
        return os.path.join(self._folder, "tree")
