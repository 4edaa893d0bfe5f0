"""Hosts, shared memory and limits of steps in real namespaces."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor import Connection, Process
from ocibuild.graph import ExtraHost, Ulimit
from tests.support.bench import on_terminal
from tests.support.lab import LONELY, Lab, busybox, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])


@users
def test_a_step_has_the_hosts_the_memory_and_the_limits_that_it_is_given(tmp_path: Path, uid: int | None) -> None:
    def work(made: Lab) -> list[str]:
        given = made.sh(
            "tail -n 1 /etc/hosts; /bin/busybox df /dev/shm | tail -n 1; ulimit -n; ulimit -Hn; ulimit -c",
            extra_hosts=(ExtraHost("db", "192.0.2.7"),),
            shm_size=1 << 20,
            ulimits=(Ulimit("core", 0, 0), Ulimit("nofile", 64, 65)),
        )
        full = made.sh("dd if=/dev/zero of=/dev/shm/x bs=1024 count=2000 2> /dev/null", shm_size=1 << 20)
        return [*given.out.splitlines(), str(full.status)]

    hosts, shm, *limits, full = in_lab(tmp_path, work, uid=uid)
    assert hosts.split() == ["192.0.2.7", "db"]
    assert shm.split()[1] == "1024"
    assert limits == ["64", "65", "0"]
    assert full == "1"


@users
def test_a_limit_above_that_of_the_builder_is_refused_with_both(tmp_path: Path, uid: int | None) -> None:
    """The kernel has a limit of its own for root, too: fs.nr_open."""

    def work(made: Lab) -> str:
        try:
            return made.sh("true", ulimits=(Ulimit("nofile", 10, 1 << 40),)).out
        except SandboxError as error:
            return error.message

    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    expected = f"ulimit nofile: the hard limit {1 << 40} is above that of ocibuild, {own}"
    assert in_lab(tmp_path, work, uid=uid) == expected


def test_a_limit_of_locks_is_refused_where_the_supervisor_has_it(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.sh("true; ulimit -n", ulimits=(Ulimit("locks", 5, 6), Ulimit("nofile", 64, 65))).out

    for name in ("root", "user"):
        (tmp_path / name).mkdir()
    assert in_lab(tmp_path / "root", work) == "64\n"
    with pytest.raises(AssertionError, match="ulimit locks: ocibuild itself uses it here"):
        in_lab(tmp_path / "user", work, uid=LONELY)


def test_a_limit_of_processes_is_beside_the_bound_of_every_step(tmp_path: Path) -> None:
    script = "/bin/true && echo ran; cat /proc/sys/kernel/pid_max"

    def work(made: Lab) -> list[str]:
        few = (Ulimit("nproc", 1, 1),)
        return [made.sh(f"({script}); true", user=user, ulimits=few).out for user in ("", "app")]

    root, user = in_lab(tmp_path, work)
    assert root == "ran\n8192\n"
    assert user == ""


def test_a_limit_is_that_of_its_step_alone(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.sh("ulimit -Hn", ulimits=(Ulimit("nofile", 10, 70),)).out + made.sh("ulimit -Hn").out

    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert in_lab(tmp_path, work).split() == ["70", str(own)]


@pytest.mark.parametrize("place", ["dangling", "to-a-file", "through-a-folder"])
def test_links_of_an_image_in_the_place_of_the_files_of_names(place: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        busybox(folder)
        target = {"dangling": "../run/nothing", "to-a-file": "passwd", "through-a-folder": "../../etc/group"}[place]
        for name in ("resolv.conf", "hosts"):
            (folder / "etc" / name).symlink_to(target)

    def work(made: Lab) -> str:
        base = [made.snapshot(fill)]
        script = "cat /etc/hosts | head -n 1; cat /etc/resolv.conf; grep -c root /etc/passwd; grep -c root /etc/group"
        return made.run("/bin/sh", "-c", script, stack=base).out

    expected = ""
    if os.path.exists("/etc/resolv.conf"):
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            expected = file.read()
    assert in_lab(tmp_path, work) == f"127.0.0.1\tlocalhost ocibuild\n{expected}1\n1\n"


@users
def test_without_a_network_there_is_loopback_alone(tmp_path: Path, uid: int | None) -> None:
    def work(made: Lab) -> str:
        script = "/bin/busybox ip -o addr show; /bin/busybox ip route; /bin/busybox ping -c 1 127.0.0.1 | grep -c ttl="
        return made.sh(script, connection=Connection.NONE).out

    *addresses, pinged = in_lab(tmp_path, work, uid=uid).splitlines()
    assert {line.split()[1] for line in addresses if "inet" in line} == {"lo"}
    assert pinged == "1"


@users
@pytest.mark.parametrize("user", ["", "app"])
def test_a_step_has_a_terminal_of_its_own_and_it_is_its_users(tmp_path: Path, uid: int | None, user: str) -> None:
    def work(made: Lab) -> tuple[str, int]:
        process = Process(
            ("/bin/sh", "-c", "test -t 0 && test -c /dev/console && echo here >/dev/tty; exit 3"),
            ("PATH=/bin",),
            user=user,
            terminal=True,
        )
        with made.store.snapshots.begin() as active, made.snapshotter.running(made.base, active) as root:
            return on_terminal(made.executor, process, root, active.scratch)

    assert in_lab(tmp_path, work, uid=uid) == ("here\r\n", 3)
