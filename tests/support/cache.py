"""Where the tests keep what takes long to make, between runs; readable by every user."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def cache_folder() -> Path:
    """Return the folder, made where it is missing: root's is /var/cache/ocibuild-tests."""
    if os.geteuid() == 0:
        folder = Path("/var/cache/ocibuild-tests")
    else:
        folder = Path(tempfile.gettempdir(), f"ocibuild-tests-{os.geteuid()}")
    folder.mkdir(exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise AssertionError(f"{folder} belongs to another user")
    folder.chmod(0o755)
    return folder


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Yield the path of something in the cache that no other test run makes meanwhile."""
    path = cache_folder() / name
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the path of something in the cache, which ``make`` makes where it is missing: all of it, or nothing."""
    with locked(name) as path:
        if not path.exists():
            making = path.with_name(f"making-{name}")
            shutil.rmtree(making, ignore_errors=True)  # a folder that nobody finished; a file is written anew
            make(making)
            making.rename(path)
    return path
