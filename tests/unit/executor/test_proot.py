"""Steps under proot: as root and as an ordinary user, without namespaces, mounts or any privilege."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import CannotStart, Interrupted, SandboxError
from ocibuild.executor import Process
from ocibuild.executor.elf import PROCESSORS, counting_program
from ocibuild.executor.proot import ProotExecutor, find_proot
from ocibuild.graph import Ulimit
from ocibuild.oci import Platform
from ocibuild.sandbox import Bind, Folder, Secret, Spawner, Tmpfs, Tree
from tests.support.bench import Bench, check_what_is_given, check_what_is_refused, under_proot
from tests.support.containers import be_root_of_container, be_user_of_container
from tests.support.lab import LONELY, in_child, needs_busybox, needs_root, open_way
from tests.support.peers import require_peer
from tests.support.processes import processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [needs_root, needs_busybox]

FOREIGN = "riscv64" if Platform.host().architecture == "arm64" else "arm64"
both = pytest.mark.parametrize("uid", [0, LONELY], ids=["root", "user"])


def at_bench(folder: Path, work: Callable[[Bench], None], uid: int) -> None:
    require_peer("proot")
    place = folder / "bench"
    place.mkdir()
    os.chown(place, uid, uid)
    open_way(place)

    def inside() -> None:
        if uid:
            be_user_of_container(uid)
        else:
            be_root_of_container(tracing=True)
        os.umask(0o022)
        work(Bench(place, under_proot))

    in_child(inside)


@both
def test_a_step_runs_in_the_tree_and_leaves_nothing_but_its_changes(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        before = bench.look()
        ended = bench.sh(
            "id -u; cat /etc/hosts; head -c 2 /dev/zero | wc -c; readlink /proc/self/cwd; ls /sys >/dev/null;"
            "test -e /etc/resolv.conf && echo resolv; touch /made; env >&2; exit 7"
        )
        assert ended.status == 7
        lines = ended.out.splitlines()
        assert lines[0] == "0"
        assert "localhost" in lines[1]
        assert lines[-3:] == ["2", "/", "resolv"]
        assert "PROOT" not in ended.err
        after = bench.look()
        del after["made"]
        assert after == before
        assert "etc" in bench.touched

    at_bench(tmp_path, work, uid)


@both
def test_run_mounts_are_there_for_the_step_alone(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        source = bench.folder / "source"
        (source / "sub").mkdir(parents=True)
        (source / "sub/file").write_text("from there")
        (source / "sub/link").symlink_to("file")
        cache = bench.folder / "cache"
        cache.mkdir()
        (cache / "kept").write_text("old")
        (bench.tree / "tmp/covered").write_text("x")
        before = bench.look()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(bench.folder / "agent"))
            ended = bench.sh(
                "cat /run/secrets/key; ls -l /run/secrets/key >&2; cat /src/link /dev/pipes/file; cat /cache/kept;"
                "echo new >/cache/new; ls /tmp; touch /tmp/own; test -S /run/agent && echo socket",
                Tree(Folder(str(source)), "sub", "/src", ""),
                Tree(Folder(str(source)), "sub", "/dev/pipes", ""),
                Bind(str(cache), "/cache"),
                Secret("sesame\n", "/run/secrets/key", 0o400, 0, 0, ""),
                Tmpfs("/tmp"),
                Bind(str(bench.folder / "agent"), "/run/agent"),
            )
        assert ended.out == "sesame\nfrom therefrom thereoldsocket\n"
        assert ended.err.startswith("-r--------")
        assert bench.look() == before
        assert (cache / "new").read_text() == "new\n"

    at_bench(tmp_path, work, uid)


@both
def test_the_status_is_that_of_the_program_and_nothing_survives_it(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        mark = f"MARK={bench.folder}"
        env = ("PATH=/bin", mark)
        assert bench.sh("(sleep 1; exit 5) & exit 3", env=env).status == 3
        assert bench.sh("sleep 1000 & kill -9 $$", env=env).status == 137
        assert bench.run("true").status == 0
        assert bench.run("test").status == 1
        assert processes_with(mark) == []
        with pytest.raises(CannotStart, match="nothing: executable file not found") as caught:
            bench.run("nothing")
        assert caught.value.exit_status == 127

    at_bench(tmp_path, work, uid)


@both
def test_stopping_ends_a_step_with_all_that_it_started(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        mark = f"MARK={bench.folder}"
        ready = bench.tree / "ready"

        def stop() -> None:
            wait_until(ready.exists)
            bench.executor.stop()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(Interrupted):
            bench.sh("setsid sleep 1000 & echo >/ready; sleep 1001", env=("PATH=/bin", mark))
        stopping.join()
        assert processes_with(mark) == []

    def with_setsid(bench: Bench) -> None:
        (bench.tree / "bin/setsid").symlink_to("busybox")
        work(bench)

    at_bench(tmp_path, with_setsid, uid)


@both
def test_signals_reach_the_program(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        (bench.folder / "scratch").mkdir()
        process = Process(
            args=("/bin/sh", "-c", "trap 'exit 5' TERM; echo >/ready; while :; do sleep 0.05; done"), env=("PATH=/bin",)
        )
        executor = bench.executor
        assert isinstance(executor, ProotExecutor)
        with executor.prepared(process, Folder(str(bench.tree)), str(bench.folder / "scratch")) as prepared:
            null = os.open("/dev/null", os.O_RDWR)
            running = executor._spawner.run(prepared.spec, stdin=null, stdout=null, stderr=null)
            wait_until((bench.tree / "ready").exists)
            running.signal(signal.SIGTERM)
            assert running.wait().exit_status == 5

    at_bench(tmp_path, work, uid)


@both
def test_the_user_of_the_image_is_who_runs(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        ended = bench.sh("id -u; id -g; pwd; echo $HOME", user="app", working_dir="/made/here")
        assert ended.out == "1000\n1001\n/made/here\n/home/app\n"
        assert (bench.tree / "made/here").is_dir()
        with pytest.raises(SandboxError, match="nobody-here"):
            bench.sh("true", user="nobody-here")

    at_bench(tmp_path, work, uid)


@both
def test_steps_change_owners_and_users_in_records(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        (bench.tree / "bin/su").symlink_to("busybox")
        script = "cd /tmp; touch made; chown 5:6 made; ls -ln made; ln -s x l; chown -h 7:8 l; mkdir d; cd d; chown 9 ."
        ended = bench.sh(f"{script}; su app -s /bin/sh -c 'id -u; touch ../mine'; ls -ln /tmp; mknod /c c 1 3")
        assert ended.err == ""
        owners = [line.split()[2:4] for line in ended.out.splitlines() if line.startswith(("-", "d", "l"))]
        assert owners == [["5", "6"], ["9", "0"], ["7", "8"], ["5", "6"], ["1000", "1001"]]
        assert "1000" in ended.out.splitlines()
        for name, record in (
            ("made", b"5:6:0644:file"),
            ("mine", b"1000:1001:0644:file"),
            ("../c", b"0:0:0644:char-1-3"),
        ):
            assert os.getxattr(bench.tree / "tmp" / name, "user.containers.override_stat") == record

    at_bench(tmp_path, work, uid)


def test_the_links_of_an_image_lead_only_into_the_image(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        outside = bench.folder / "outside"
        outside.mkdir()
        (bench.tree / "etc/hosts").symlink_to(f"{outside}/hosts")
        (bench.tree / "etc/resolv.conf").symlink_to("../../../../../run/deep/resolv.conf")
        before = bench.look()
        assert "localhost" in bench.sh("cat /etc/hosts /etc/resolv.conf").out
        assert os.listdir(outside) == []
        assert bench.look() == before

    at_bench(tmp_path, work, LONELY)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo "proot 4.0.2"', r"proot 4\.0\.2, which is too old"),
        ('case $1 in --version) echo "| 5.1.0";; *) echo "proot error: ptrace: no" >&2; exit 1;; esac', "ptrace: no"),
        # one that shows nothing, and runs the program as it is
        (
            'case $1 in --version) echo "| 5.4.0";; *) while [ "$1" != -c ]; do shift; done; exec sh "$@";; esac',
            "does not show",
        ),
    ],
)
def test_a_proot_that_does_not_work_is_one_clear_line(tmp_path: Path, script: str, message: str) -> None:
    def work(bench: Bench) -> None:
        with pytest.raises(SandboxError, match=message):
            bench.sh("true")

    with_proot(tmp_path, script, work)


def test_stopping_ends_a_proot_that_is_still_tried(tmp_path: Path) -> None:
    """One that does not answer."""

    def work(bench: Bench) -> None:
        def stop() -> None:
            wait_until((tmp_path / "asked").exists)
            bench.executor.stop()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(Interrupted):
            bench.sh("true")
        stopping.join()

    with_proot(tmp_path, f">{tmp_path}/asked; sleep 60", work)


def with_proot(folder: Path, script: str, work: Callable[[Bench], None]) -> None:
    """Do ``work`` at a bench where ``script`` is the proot."""
    proot = folder / "proot"
    proot.write_text(f"#!/bin/sh\n{script}\n")
    proot.chmod(0o755)

    def make(spawner: Spawner, warn: Callable[[str], None]) -> ProotExecutor:
        return ProotExecutor(spawner, str(proot), warn)

    def inside() -> None:
        be_root_of_container()
        work(Bench(folder, make))

    in_child(inside)


@both
def test_a_step_has_the_hosts_the_limits_and_the_terminal_that_it_is_given(tmp_path: Path, uid: int) -> None:
    at_bench(tmp_path, check_what_is_given, uid)


@both
def test_what_cannot_be_offered_is_refused_by_name(tmp_path: Path, uid: int) -> None:
    def work(bench: Bench) -> None:
        check_what_is_refused(bench)
        with pytest.raises(SandboxError, match="ulimit locks"):
            bench.sh("true", ulimits=(Ulimit("locks", 1, 1),))

    at_bench(tmp_path, work, uid)


@both
def test_programs_for_another_processor_run_in_qemu_and_start_others(tmp_path: Path, uid: int) -> None:
    require_peer("qemu-aarch64-static")  # with those for all others

    def work(bench: Bench) -> None:
        (bench.tree / "count").write_bytes(counting_program(PROCESSORS[FOREIGN]))
        (bench.tree / "count").chmod(0o755)
        platform = Platform("linux", FOREIGN)
        assert bench.run("/count", "a", "b", platform=platform).status == 3
        assert bench.sh("/count a b c; echo $?", platform=platform).out == "4\n"

    at_bench(tmp_path, work, uid)


def test_without_qemu_the_platform_is_named(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        os.environ["PATH"] = str(bench.folder)
        with pytest.raises(CannotStart) as caught:
            bench.sh("true", platform=Platform("linux", FOREIGN))
        expected = f"this machine runs no programs for linux/{FOREIGN} (install qemu-user-static)"
        assert str(caught.value) == expected

    at_bench(tmp_path, work, LONELY)


def test_proot_is_the_one_that_is_named(tmp_path: Path) -> None:
    for name in ("one", "proot"):
        (tmp_path / name).touch(mode=0o755)
    one = str(tmp_path / "one")
    assert find_proot(None, {"PATH": str(tmp_path)}) == str(tmp_path / "proot")
    assert find_proot(one, {"PATH": str(tmp_path)}) == one
    assert find_proot("/nowhere", {"OCIBUILD_PROOT": one}) == one
    assert find_proot(None, {"PATH": ""}) is None
    with pytest.raises(SandboxError, match="/nowhere: no such program"):
        find_proot("/nowhere", {})
