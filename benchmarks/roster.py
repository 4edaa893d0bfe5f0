"""Who takes part on this machine, and why others do not."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.contestants import Buildah, Chroot, Contestant, Crowd, Docker, Ocibuild, Podman, Skopeo
from benchmarks.contestants.ocibuild import install
from benchmarks.machine import User, myself, ordinary_user
from benchmarks.measure import CommandFailed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Container

    from benchmarks.peers import Peers

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Roster:
    """``contestants`` are those wanted, their stores empty in ``scratch``; ``left_out`` tells why others are not."""

    def __init__(self, options: Namespace, wanted: Container[str], peers: Peers, scratch: str) -> None:
        self.left_out: list[str] = []
        self._options = options
        self._peers = peers
        self._scratch = scratch
        self._me = myself(scratch)
        self._user = self._me if self._me.uid else self._rootless()
        given = tuple(shlex.split(options.ocibuild or ""))
        program = given or (sys.executable, "-m", "ocibuild")
        makers: dict[str, Callable[[], Contestant]] = {
            "ocibuild, root": lambda: self._ocibuild_of_root(program),
            "ocibuild, user": lambda: self._ocibuild_of_user(program, given),
            "ocibuild, four at once": lambda: Crowd(Ocibuild(program, self._me, self._folder("crowd"), _CHECKOUT)),
            "ocibuild, one ID": lambda: self._ocibuild_in_row(given, "one ID"),
            "ocibuild, proot": lambda: self._ocibuild_in_row(given, "proot", "--executor", "proot"),
            "unshare -r chroot": self._chroot,
            "docker": self._docker,
            "buildah": lambda: Buildah(*self._rootless_peer("buildah")),
            "podman": lambda: Podman(*self._rootless_peer("podman")),
            "skopeo": self._skopeo,
        }
        made = (self._make(name, make) for name, make in makers.items() if name in wanted)
        self.contestants = {one.name: one for one in made if one}

    def versions(self) -> dict[str, str]:
        """Return who takes part, each with what it is and how it is run."""
        return {name: one.version() for name, one in self.contestants.items()}

    def dismiss(self) -> None:
        """Leave nothing in stores that outlive the run."""
        for contestant in self.contestants.values():
            with suppress(CommandFailed):
                contestant.empty()

    def _make(self, name: str, make: Callable[[], Contestant]) -> Contestant | None:
        try:
            contestant = make()
            contestant.empty()
        except (CommandFailed, LookupError) as error:
            self.left_out.append(f"{name}: {error}")
            return None
        return contestant

    def _rootless(self) -> User | None:
        try:
            return ordinary_user(self._options.user, self._scratch)
        except (LookupError, OSError) as error:
            self.left_out.append(f"all that is rootless: {error}")
            return None

    def _ocibuild_of_root(self, program: tuple[str, ...]) -> Contestant:
        if self._me.uid:
            raise LookupError("the benchmark is not run by root")
        return Ocibuild(program, self._me, self._folder("store"), _CHECKOUT)

    def _ocibuild_of_user(self, program: tuple[str, ...], given: tuple[str, ...]) -> Contestant:
        if self._user is None:
            raise LookupError("no ordinary user")
        if self._user == self._me:
            return Ocibuild(program, self._me, self._folder("user-store"), _CHECKOUT)
        return Ocibuild(
            given or install(_CHECKOUT, self._folder("environment")), self._user, self._folder("user-store")
        )

    def _ocibuild_in_row(self, given: tuple[str, ...], row: str, *flags: str) -> Contestant:
        if self._me.uid:
            raise LookupError("only root makes a user without subordinate IDs")
        user = ordinary_user(f"{self._options.user}-one", self._scratch, subordinates=False)
        installed = given or install(_CHECKOUT, self._folder(f"environment {row}"))
        return Ocibuild(installed, user, self._folder(f"store {row}"), row=row, flags=flags)

    def _chroot(self) -> Contestant:
        if self._user is None:
            raise LookupError("no ordinary user")
        return Chroot(self._user, self._folder("chroot"))

    def _docker(self) -> Contestant:
        docker = Docker(self._peers, self._me, self._folder("engine"))
        if not self._peers.has("docker") or not docker.answers():
            raise LookupError("no program, or no engine that answers")
        if not (self._peers.is_ours or self._options.empty_docker):
            raise LookupError("its engine has to be emptied, and --empty-docker was not given")
        return docker

    def _rootless_peer(self, program: str) -> tuple[Peers, User, str]:
        if self._user is None or not self._peers.has(program):
            raise LookupError("not on PATH, or no ordinary user to run it")
        self._peers.add_user(self._user)
        return self._peers, self._user, self._folder(program)

    def _skopeo(self) -> Contestant:
        if not self._peers.has("skopeo"):
            raise LookupError("not on PATH")
        return Skopeo(self._peers, self._me, self._folder("skopeo"))

    def _folder(self, name: str) -> str:
        return os.path.join(self._scratch, name)
