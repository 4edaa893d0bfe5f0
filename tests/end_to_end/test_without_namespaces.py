"""Debian's package manager in steps that get no namespaces: bare chroot and proot, in a folder with a small Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.executor import Process
from ocibuild.sandbox import Folder, Spawner
from tests.support.bases import debian_tar
from tests.support.bench import bare, under_proot
from tests.support.containers import be_root_of_container, be_user_of_container
from tests.support.lab import LONELY, in_child, needs_root
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.executor import Executor
    from ocibuild.graph import Stream

pytestmark = needs_root

SEARCH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL = (
    "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server"
    " && stat -c '%U %a' /var/lib/redis && redis-server --version"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user reaches: below pytest's own, apt's user would not."""
    made = Path(tempfile.mkdtemp(prefix="ocibuild-folder-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def installs(
    folder: Path, be: Callable[[], None], make: Callable[[Spawner, Callable[[str], None]], Executor], uid: int = 0
) -> str:
    tree, scratch = folder / "tree", folder / "scratch"
    for path in (tree, scratch):
        path.mkdir()
    subprocess.run(["tar", "-xf", debian_tar(), "-C", tree, "--exclude=./dev/*"], check=True)
    if uid:
        subprocess.run(["chown", "-R", f"{uid}:{uid}", folder], check=True)

    def inside() -> tuple[int, str]:
        be()
        os.umask(0o022)
        said = bytearray()

        def output(_stream: Stream, piece: bytes) -> None:
            said.extend(piece)

        process = Process(args=("/bin/sh", "-c", INSTALL), env=(SEARCH,))
        executor = make(Spawner.start(namespaced=False), print)
        outcome = executor.run(process, Folder(str(tree)), str(scratch), output=output)
        return outcome.exit_status, said.decode("utf-8", "replace")

    status, said = in_child(inside)
    assert status == 0, said[-3000:]
    assert sorted(os.listdir(tree / "dev")) == []
    return said


def test_apt_installs_in_a_bare_chroot(folder: Path) -> None:
    assert "redis 750\n" in installs(folder, be_root_of_container, bare)
    assert (folder / "tree/var/lib/redis").stat().st_uid != 0


def test_apt_installs_under_proot_as_root(folder: Path) -> None:
    require_peer("proot")
    assert "redis 750\n" in installs(folder, lambda: be_root_of_container(tracing=True), under_proot)
    record = os.getxattr(folder / "tree/var/lib/redis", "user.containers.override_stat")
    assert not record.startswith(b"0:")


def test_apt_installs_under_proot_as_an_ordinary_user(folder: Path) -> None:
    require_peer("proot")
    assert "Redis server v=" in installs(folder, lambda: be_user_of_container(LONELY), under_proot, LONELY)
