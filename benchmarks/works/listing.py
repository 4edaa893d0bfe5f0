"""A store with much in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.images import TINY, write_layout
from benchmarks.measure import CommandFailed
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Listing(Work):
    """The images differ in their layer, and came in one archive."""

    name = "images"
    title = "images, of 1,000"
    targets = Targets(seconds=0.2)
    counted = "lines"

    def __init__(self, number: int = 1000) -> None:
        self._number = number

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        if turn == 0:
            archive = os.path.join(site.folder, "many.tar")
            write_layout(archive, [TINY.variant(str(number)) for number in range(self._number)])
            try:
                site.do(contestant.load(archive))
            finally:
                os.unlink(archive)
        return contestant.list_images()

    def count(self, site: Site) -> int:
        with open(site.log, encoding="utf-8", errors="replace") as file:
            lines = sum(1 for _ in file)
        if lines != self._number + 1:
            raise CommandFailed(f"{lines - 1} images were listed in place of {self._number}")
        return lines

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (it is in their stores)
        for contestant in contestants:
            contestant.renew()
