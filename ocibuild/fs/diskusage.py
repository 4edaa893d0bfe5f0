"""How much room a tree takes."""

from __future__ import annotations

import os
from contextlib import suppress

from ocibuild.fs.cursor import Cursor

_BLOCK = 512
"""The bytes that ``st_blocks`` counts; see stat(2)."""


def disk_usage(path: str) -> int:
    """Return the bytes that what is in a directory takes on its file system, a file with several names once.

    A file that has names elsewhere counts too: it would be there without these.
    Of what somebody changes meanwhile it is what was seen; 0 where there is no directory.
    """
    total = 0
    seen: set[tuple[int, int]] = set()

    def look(fd: int) -> list[str]:
        """Count the entries of a directory; return those that are directories."""
        nonlocal total
        below = []
        for entry in os.scandir(fd):
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * _BLOCK
        return below

    with suppress(OSError), Cursor(path) as cursor:
        pending = [look(cursor.fd)]
        while pending:
            if pending[-1]:
                with suppress(FileNotFoundError):
                    cursor.down(pending[-1].pop())
                    pending.append(look(cursor.fd))
            else:
                pending.pop()
                if pending:
                    cursor.up()
    return total
