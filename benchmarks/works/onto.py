"""A large file on a large base."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.contexts import change, write_large_file
from benchmarks.images import BIG
from benchmarks.machine import hollow
from benchmarks.works.pushing import Pushing
from benchmarks.works.work import Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.images import Image
    from benchmarks.works.work import Site


class Onto(Pushing):
    """The file is written once, and its beginning is another one for each who builds."""

    name = "onto"
    title = "COPY of 1 GiB in one file onto a 1 GiB base, pushed"
    targets = Targets({"docker": 0.33, "buildah": 0.2}, peak=200)

    def __init__(self, size: int = 1 << 30, image: Image = BIG) -> None:
        super().__init__(image)
        self._size = size
        self._context = ""

    def context(self, site: Site, base: str, unique: str) -> str:
        context = self._context or self._write(site, base)
        change(os.path.join(context, "large"), f"{unique}\n")
        return context

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:
        hollow(self._context)
        super().finish(contestants, site)

    def _write(self, site: Site, base: str) -> str:
        self._context = site.context(base, "COPY large /srv/large")
        write_large_file(os.path.join(self._context, "large"), self._size)
        return self._context
