"""A Debian mirror on loopback that has just the packages that the Dockerfiles install, fetched once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.bases import SUITE, debian_tar
from tests.support.cache import made_once
from tests.support.peers import require_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES = ("redis-server", "openssh-server", "libcap2-bin", "python3-venv", "gcc", "libc6-dev", "rpm")
SOURCE = "deb [trusted=yes] http://packages.example ./\n"
"""How the base names the mirror: its port is another each time, and is given as a proxy's, which is in no image."""

_FETCH = """\
set -eu
cp /etc/resolv.conf "$1/etc/resolv.conf"
mkdir -p "$1/dev"
mount --bind /dev "$1/dev"
shift
chroot "$@" apt-get -qq update
chroot "$@" apt-get -qq install -y --no-install-recommends --download-only {packages} >/dev/null
"""


def packages_folder() -> Path:
    """Return a folder with the packages, what they need that the base does not have, and their index."""
    require_root()
    wanted = " ".join(PACKAGES)
    base = debian_tar()
    version = hashlib.sha256(f"{wanted}\n{base.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    return made_once(f"packages-{SUITE}-{version}", lambda folder: _fetch(base, folder, wanted))


def _fetch(base: Path, folder: Path, wanted: str) -> None:
    """Let the base's own apt find out what is needed, from where this machine's packages come from."""
    root = folder / "root"
    root.mkdir(parents=True)
    with tarfile.open(base) as tar:
        tar.extractall(root, numeric_owner=True)
    # the mount is gone with its namespace
    command = ["unshare", "--mount", "sh", "-c", _FETCH.format(packages=wanted), "fetch", str(root), str(root)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder)
        raise AssertionError(f"the packages cannot be fetched:\n{done.stdout}{done.stderr}")
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.rename(folder / package.name)
    shutil.rmtree(root)
    (folder / "Packages").write_text("\n".join(_entry(package) for package in sorted(folder.glob("*.deb"))))


def _entry(package: Path) -> str:
    """Return a package's entry in the index: deb822(5)."""
    control = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
    content = package.read_bytes()
    place = f"Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    return control.rstrip("\n") + "\n" + place


@contextmanager
def package_server() -> Iterator[str]:
    """Serve the packages as an HTTP proxy that answers for every host; the value is its URL."""
    handler = partial(_Handler, directory=str(packages_folder()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        return super().translate_path(urlsplit(path).path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the parameter has this name)
        pass
