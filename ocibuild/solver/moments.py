"""When a result was made: now, unless only files have gone into it. So these are the same whenever they are made.

That a COPY or WORKDIR has run at some time is no difference then: it is as old as the newest of its files and its base,
and so are the directories that it made, or put something into.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from ocibuild.graph import Run, format_time, inputs, parse_time
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ocibuild.graph import Vertex

LONG_AGO = 315_532_800 * 10**9
"""Nanoseconds from 1970 to 1980, for what has no time of its own: zip files, such as wheels, know none before."""
_GRAIN = 20_000_000
"""Nanoseconds that the clock of a file system may be behind."""


def is_of_files_alone(vertex: Vertex, others: Collection[int]) -> bool:
    """Tell whether nothing runs to make a vertex; ``others`` has the ``id()`` of each before it of which that is so."""
    return not isinstance(vertex, Run) and all(id(needed) in others for needed in inputs(vertex))


class Moment(NamedTuple):
    """When changes were made: ``created`` in RFC 3339, and as nanoseconds since 1970, the time of ``directories``."""

    created: str
    time_ns: int
    directories: list[str]


def moment_of(changes: str, begun: int, base: str | None) -> Moment:
    """Return when what is in a folder of changes was made, and the names of its directories that have the clock's time.

    It is the newest time of a file among them, or ``base`` (RFC 3339) where that is newer. A time that is still to come
    counts for nothing. ``begun`` is when the changes began, in nanoseconds since 1970.
    """
    from ocibuild.layer.whiteouts import is_whiteout  # not for a build that is all cached

    begun, now = begun - _GRAIN, time.time_ns()
    at = parse_time(base)
    newest = LONG_AGO if at is None else int(at * 10**9)
    created = format_time(newest) if base is None or at is None else base
    directories = []
    for name, status in _below(changes):
        if stat.S_ISDIR(status.st_mode):  # one may be here for what is in it alone
            directories += [name] if status.st_mtime_ns >= begun else []
        elif newest < status.st_mtime_ns <= now and not is_whiteout(status):
            newest = status.st_mtime_ns
            created = format_time(newest)
    return Moment(created, newest, directories)


def _below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the names of all in a folder, and its own, each with its lstat."""
    yield ".", os.lstat(folder)
    pending = [""]
    while pending:
        above = pending.pop()
        with os.scandir(os.path.join(folder, above)) as entries:
            for entry in entries:
                name = f"{above}{entry.name}"
                yield name, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
