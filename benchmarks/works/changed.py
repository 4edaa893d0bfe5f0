"""The build that people wait for all day: one file of many has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contexts import change, first_file
from benchmarks.files import write_files
from benchmarks.images import BASE
from benchmarks.machine import hollow
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Changed(Work):
    """Everything was built once before, and one file was changed after that, another time for each who builds.

    The context stays where it is, so that those who remember it may.
    """

    name = "changed"
    title = "one file of 20,000 (1 GiB) changed, COPY and a RUN"
    targets = Targets({"docker": 0.5, "buildah": 0.3}, peak=200)
    peers = ("docker", "buildah")

    def __init__(self, count: int = 20_000, size: int = (1 << 30) // 20_000) -> None:
        self._count = count
        self._size = size
        self._context = ""
        self._built: set[str] = set()

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        context = self._context or self._write(site)
        command = contestant.build(context, "bench-changed")
        if contestant.name not in self._built:
            site.do(command)
            self._built.add(contestant.name)
        change(first_file(os.path.join(context, "files")), f"{turn} {contestant.name}\n")
        return command

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (it knows its context)
        hollow(self._context)
        for contestant in contestants:
            contestant.renew()

    def _write(self, site: Site) -> str:
        base = site.publish(BASE, "warm").reference
        self._context = site.context(base, "COPY files /srv/files", "RUN echo changed")
        write_files(os.path.join(self._context, "files"), "changed", self._count, self._size)
        return self._context
