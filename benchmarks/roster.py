"""Who takes part on this machine, and why others do not."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.contestants import Buildah, BuildKit, Contestant, Ocibuild
from benchmarks.contestants.ocibuild import install
from benchmarks.machine import User, myself, ordinary_user
from benchmarks.measure import CommandFailed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from benchmarks.peers import Peers

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Roster:
    """``contestants`` have empty stores in ``scratch``; ``left_out`` has a line for each that does not take part."""

    def __init__(self, options: Namespace, peers: Peers, scratch: str) -> None:
        self.left_out: list[str] = []
        self._options = options
        self._peers = peers
        self._scratch = scratch
        self._me = myself(scratch)
        self._user = self._me if self._me.uid else self._rootless()
        self.contestants = [one for one in (*self._ours(), *self._theirs()) if self._is_ready(one)]

    def dismiss(self) -> None:
        """Leave nothing in stores that outlive the run."""
        for contestant in self.contestants:
            with suppress(CommandFailed):
                contestant.empty()

    def _rootless(self) -> User | None:
        try:
            return ordinary_user(self._options.user, self._scratch)
        except (LookupError, OSError) as error:
            self.left_out.append(f"all that is rootless: {error}")
            return None

    def _is_ready(self, contestant: Contestant) -> bool:
        try:
            contestant.empty()
        except CommandFailed as error:
            self.left_out.append(f"{contestant.name}: {error}")
            return False
        return True

    def _ours(self) -> Iterator[Contestant]:
        given = tuple(shlex.split(self._options.ocibuild or ""))
        program = given or (sys.executable, "-m", "ocibuild")
        yield Ocibuild(program, self._me, self._folder("store"), _CHECKOUT)
        if self._user is None or self._user == self._me:
            return
        try:
            program = given or install(_CHECKOUT, self._folder("environment"))
        except CommandFailed as error:
            self.left_out.append(f"ocibuild, user: {error}")
        else:
            yield Ocibuild(program, self._user, self._folder("user-store"))

    def _theirs(self) -> Iterator[Contestant]:
        docker = BuildKit(self._peers, self._me)
        if not self._peers.has("docker") or not docker.answers():
            self.left_out.append("BuildKit: no docker, or no engine that answers")
        elif not (self._peers.is_ours or self._options.empty_docker):
            self.left_out.append("BuildKit: its engine has to be emptied, and --empty-docker was not given")
        else:
            yield docker
        if self._user is None or not self._peers.has("buildah"):
            self.left_out.append("buildah: not on PATH, or no ordinary user to run it")
        else:
            self._peers.add_user(self._user)
            yield Buildah(self._peers, self._user, self._folder("buildah"))

    def _folder(self, name: str) -> str:
        return os.path.join(self._scratch, name)
