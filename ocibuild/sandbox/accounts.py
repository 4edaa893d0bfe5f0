"""The passwd and group files of an image, which may be anything there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ocibuild.sandbox.users import User, find_user

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 4 << 20


def user_of_image(text: str, open_file: Callable[[str], int]) -> User:
    """Return the user that ``text`` names, as ``find_user()`` does.

    ``open_file`` opens a file of the image by its path, waiting for nothing, or raises OSError.
    """
    return find_user(text, read_accounts("/etc/passwd", open_file), read_accounts("/etc/group", open_file))


def read_accounts(path: str, open_file: Callable[[str], int]) -> str:
    """Return what is in a file of accounts; an image need not have one."""
    try:
        fd = open_file(path)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, _LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
