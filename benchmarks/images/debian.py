"""The base image that everything is built on: a Debian tree from mmdebstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from typing import TYPE_CHECKING

from benchmarks.images.layer import PIECE, CachedLayer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from gzip import GzipFile

PACKAGES = ("ca-certificates", "perl", "python3")
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


class Debian(CachedLayer):
    """A tree of 11,000 files, 220 MB; to make it takes about a minute.

    ``downloads`` are packages that are not installed in it, but lie ready to be, with all that they need.
    """

    def __init__(self, suite: str, downloads: Sequence[str] = ()) -> None:
        super().__init__(f"debian-{suite}-{'-'.join((*PACKAGES, *downloads))}.tar")
        self._suite = suite
        self._downloads = downloads

    def write(self, target: GzipFile) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tar")
            _make_tree(path, self._suite, self._downloads)
            with open(path, "rb") as plain:
                rest = _end_of(path)
                while rest:
                    piece = plain.read(min(rest, PIECE))
                    target.write(piece)
                    rest -= len(piece)


def _make_tree(tar: str, suite: str, downloads: Sequence[str]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("the benchmark needs mmdebstrap (a package of Debian) to make its base image")
    sources = next((path for path in _SOURCES if os.path.exists(path)), None)
    packages = ",".join(PACKAGES)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "--format=tar"]
    if downloads:
        fetch = f'chroot "$1" apt-get install -y --download-only --no-install-recommends {" ".join(downloads)}'
        command += ["--skip=cleanup/apt", f"--customize-hook={fetch}"]
    subprocess.run([*command, suite, tar, *([sources] if sources else [])], check=True, stdin=subprocess.DEVNULL)


def _end_of(path: str) -> int:
    """Return where the entries of a tar end."""
    with tarfile.open(path, "r:") as tar:
        for _ in tar:
            pass
        return tar.offset
