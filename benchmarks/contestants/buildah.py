"""buildah as an ordinary user, with the isolation that needs least of the machine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Contestant
from benchmarks.machine import hollow, make_folder, remove_tree
from benchmarks.measure import Command, in_sequence
from benchmarks.peers import output_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.machine import User
    from benchmarks.peers import Peers


_PLAIN = "--tls-verify=false"
_HOW = ("--isolation", "chroot", "--layers", _PLAIN)


class Buildah(Contestant):
    """``folder`` holds its stores. Stages are built one after the other: that is its default."""

    name = "buildah"

    def __init__(self, peers: Peers, user: User, folder: str) -> None:
        self._peers = peers
        self._user = user
        self._folder = folder
        self._number = 0

    def version(self) -> str:
        words = self._peers.ask("buildah", "--version").split()
        return f"buildah {' '.join(words[2:3])} (user, {self._driver()}, --isolation chroot --layers)"

    def empty(self) -> None:
        remove_tree(self._folder)
        make_folder(self._folder, self._user)

    def renew(self) -> None:
        hollow(self._store)
        self._number += 1
        self._driver()  # the first command in a new store has to try what the kernel can do

    def build(self, context: str, tag: str) -> Command:
        return self._command("build", *_HOW, "--tag", tag, context)

    def build_and_push(self, context: str, reference: str) -> Command:
        return in_sequence(self.build(context, reference), self._command("push", _PLAIN, reference))

    def fill_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._command("build", *_HOW, "--cache-to", cache, "--tag", tag, context)

    def build_from_cache(self, context: str, tag: str, cache: str) -> Command:
        return self._command("build", *_HOW, "--cache-from", cache, "--tag", tag, context)

    @contextmanager
    def elsewhere(self) -> Iterator[Contestant]:
        folder = f"{self._folder}-elsewhere"
        if not os.path.isdir(folder):
            make_folder(folder, self._user)
        yield Buildah(self._peers, self._user, folder)

    @property
    def _store(self) -> str:
        return os.path.join(self._folder, f"root-{self._number}")

    def _driver(self) -> str:
        info = self._command("info", "--format", "{{.store.GraphDriverName}}")
        return output_of(info.argv, info.env) or "unknown storage"

    def _command(self, *arguments: str) -> Command:
        store = ("--root", self._store, "--runroot", os.path.join(self._folder, f"runroot-{self._number}"))
        argv = self._user.become(("buildah", *store, *arguments))
        return Command((*self._peers.prefix, *argv), self._user.environment())
