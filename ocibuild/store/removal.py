"""Removing what nobody needs, as far as this process may."""

from __future__ import annotations

from ocibuild.fs import remove_path


def try_remove(path: str) -> bool:
    """Remove what is at ``path`` with all that it holds; tell whether nothing is left of it.

    A build with a range of IDs leaves files that belong to these when it is killed, and one with a single ID may not
    remove them: no reason not to build. They stay for the next process that has the range.
    """
    try:
        remove_path(path)
    except PermissionError:
        return False
    return True
