"""The docker engine that is held to be right, newer than this machine's, in a root file system of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.bases import SOURCES
from tests.support.cache import made_once
from tests.support.peers import require_peer, require_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SUITE = "forky"
_PACKAGES = "docker.io,docker-cli,docker-buildx,ca-certificates,git,openssh-client"
_BUILDX = "/usr/libexec/docker/cli-plugins/docker-buildx"
_START_SECONDS = 60
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# what a program needs of the machine is mounted below the root, in a mount namespace that nobody else sees
_ENTER = """\
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
for folder in dev proc sys tmp; do mount --rbind "/$folder" "$root/$folder"; done
mount -t tmpfs none "$root/run"
cd "$root"
pivot_root . .
umount -l .
exec "$@"
"""


def docker_root() -> Path:
    """Return a root file system with docker in it, made once with mmdebstrap and kept between runs."""
    require_root()
    program = require_peer("mmdebstrap")
    return made_once(f"docker-{_SUITE}", lambda path: _debootstrap(program, path))


def docker_versions(root: Path) -> str:
    """Return which versions of docker and its builder a root has."""
    status = (root / "var/lib/dpkg/status").read_text()
    found = re.findall(r"^Package: (docker\.io|docker-buildx)$.*?^Version: (\S+)$", status, re.MULTILINE | re.DOTALL)
    return " ".join(f"{package}={version}" for package, version in sorted(found))


def _debootstrap(program: str, path: Path) -> None:
    # a mirror's copy of the suite may be older than its own date of expiry: fine for what only tests use
    options = ["--quiet", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={_PACKAGES}"]
    command = [program, *options, _SUITE, str(path), *_mirror()]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        shutil.rmtree(path, ignore_errors=True)
        raise AssertionError(f"mmdebstrap failed:\n{result.stderr[-3000:]}")


def _mirror() -> list[str]:
    """Return where this machine's own packages come from; nothing where that is not known: mmdebstrap has an idea."""
    for source in SOURCES:
        if os.path.exists(source):
            text = Path(source).read_text()
            if found := re.search(r"^URIs:\s*(\S+)|^deb\s+(?:\[.*?\]\s+)?(\S+)", text, re.MULTILINE):
                return [f"deb {found[1] or found[2]} {_SUITE} main"]
    return []


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: ``pid`` is the process in whose mount namespace its clients run, too."""

    pid: int
    folder: Path

    def docker(self, *words: str) -> str:
        """Run a command of docker, which must succeed, and return its output."""
        result = self._run("docker", *words, cwd=self.folder, environ={}, timeout=None)
        assert result.returncode == 0, f"docker {' '.join(words)}\n{result.stdout!r}{result.stderr!r}"
        return result.stdout.decode().strip()

    def buildx(
        self, *words: str, cwd: Path, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command of buildx, in ``cwd``, whatever becomes of it."""
        return self._run(_BUILDX, *words, cwd=cwd, environ=environ, timeout=timeout)

    def _run(
        self, *words: str, cwd: Path, environ: Mapping[str, str], timeout: float | None
    ) -> subprocess.CompletedProcess[bytes]:
        settings = {
            "PATH": _SEARCH,
            "HOME": str(self.folder / "home"),
            "DOCKER_HOST": f"unix://{self.folder}/socket",
            **environ,
        }
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--", "env", "--chdir", str(cwd)]
        return subprocess.run(
            [*inside, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=settings,
            timeout=timeout,
            check=False,
        )


@contextmanager
def engine(root: Path, folder: Path) -> Iterator[Engine]:
    """Run the root's dockerd, its files in ``folder`` below /tmp, without a network of its own."""
    # only with containerd's store does the engine write OCI archives
    command = [
        # it ends with the tests, however those end
        "setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "sh", "-c", _ENTER, "enter", str(root), "dockerd",
        "--iptables=false", "--ip6tables=false", "--bridge=none", "--feature", "containerd-snapshotter=true", "--host", f"unix://{folder}/socket",
        "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
    ]  # fmt: skip
    (folder / "home").mkdir()
    environ = {"PATH": _SEARCH, "HOME": str(folder / "home")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )
        try:
            running = Engine(process.pid, folder)
            _wait_for(running, process)
            yield running
        finally:
            process.terminate()
            process.wait()


def _wait_for(running: Engine, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        # before, the process is not yet in its namespace
        if (running.folder / "socket").exists():
            listed = running.buildx("inspect", "default", cwd=running.folder, environ={}, timeout=_START_SECONDS)
            if b"Status:" in listed.stdout and b"running" in listed.stdout:
                return
        time.sleep(0.1)
    raise AssertionError(f"dockerd did not start: {(running.folder / 'log').read_text(errors='replace')[-2000:]}")
