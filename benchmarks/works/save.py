"""An image in a file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.images import BIG
from benchmarks.measure import CommandFailed
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site


class Save(Work):
    """Each writes what it writes unless told, an archive for docker."""

    needs = PROGRAM
    name = "save"
    title = "save of a 1 GiB image"
    targets = Targets({"podman": 0.7})
    peers = ("podman",)
    counted = "MiB written"
    remark = "podman's archive has plain layers, and ours the layers as they came"

    def __init__(self) -> None:
        self._file = ""

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        reference = site.publish(BIG, "saved").reference
        if turn == 0:
            site.do(contestant.pull(reference))
        self._file = os.path.join(contestant.place(), "saved.tar")
        return contestant.save(reference, self._file)

    def count(self, site: Site) -> int:  # noqa: ARG002  (it is in the contestant's place)
        try:
            return round(os.path.getsize(self._file) / (1 << 20))
        except OSError as error:
            raise CommandFailed(f"nothing was saved: {error.strerror}") from error

    def clear(self, contestant: Contestant, site: Site) -> None:  # noqa: ARG002
        with suppress(FileNotFoundError):
            os.unlink(self._file)

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (it is in their stores)
        for contestant in contestants:
            contestant.renew()
