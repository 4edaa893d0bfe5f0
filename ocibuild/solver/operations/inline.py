"""Files whose content stands in the Dockerfile, made in a tree of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.layer.entry import Entry, Kind
from ocibuild.solver.moments import LONG_AGO
from ocibuild.solver.operations.placing import Placer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Inline
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot


def make_files(shop: Workshop, vertex: Inline, active: ActiveSnapshot) -> None:
    """Make the files of ``vertex`` in ``active``, owned by root, and always of the same time."""
    with shop.snapshotter.writing((), active) as root:
        placer = Placer(root, shop.ownership)
        for file in vertex.files:
            placer.file(Entry(file.name, Kind.FILE, file.mode, 0, 0, mtime_ns=LONG_AGO), _writer(file.content))
        placer.finish()


def _writer(content: bytes) -> Callable[[int], None]:
    def fill(fd: int) -> None:
        with open(fd, "wb", closefd=False) as opened:
            opened.write(content)

    return fill
