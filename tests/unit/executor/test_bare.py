"""Steps of root in a container that grants nothing: a folder, chroot(2), and what is put into the tree meanwhile."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.executor.elf import PROCESSORS, counting_program
from ocibuild.fs import Cursor, Root
from ocibuild.oci import Platform
from ocibuild.sandbox import Bind, Folder, Secret, Tmpfs, Tree
from tests.support.bench import Bench, bare, check_what_is_given, check_what_is_refused
from tests.support.containers import CAP_MKNOD, be_root_of_container
from tests.support.lab import in_child, needs_busybox, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [needs_root, needs_busybox]

_DEEP = 1500


def at_bench(tmp_path: Path, work: Callable[[Bench], object]) -> object:
    def inside() -> object:
        be_root_of_container()
        return work(Bench(tmp_path, bare))

    return in_child(inside)


def test_a_step_runs_in_the_tree_with_devices_and_leaves_nothing_but_its_changes(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        (bench.tree / "etc/hosts").write_text("the image's own")
        before = bench.look()
        ended = bench.sh(
            "echo made >/made; echo x >/dev/null; cat /etc/hosts; head -c 2 /dev/zero | wc -c; cat /dev/fd/x; exit 7"
        )
        assert ended.status == 7
        assert "localhost" in ended.out
        assert ended.out.endswith("2\n")
        after = bench.look()
        made = after.pop("made")
        assert made[4] == 5
        assert after == before
        assert (bench.tree / "etc/hosts").read_text() == "the image's own"
        assert bench.touched >= {"dev", "etc", "etc/hosts"}

    at_bench(tmp_path, work)


def test_what_a_step_adds_beside_a_covered_file_keeps_the_directory_changed(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        (bench.tree / "etc/hosts").write_text("")
        before = (bench.tree / "etc").stat().st_mtime_ns
        bench.sh("echo >/etc/added")
        assert (bench.tree / "etc").stat().st_mtime_ns != before
        assert "etc" not in bench.touched

    at_bench(tmp_path, work)


def test_missing_system_folders_stay_and_missing_files_do_not(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        for name in ("proc", "sys", "dev"):
            (bench.tree / name).rmdir()
        assert bench.sh("test -c /dev/null && test -f /etc/resolv.conf").status == 0
        assert {"proc", "sys", "dev"} <= set(os.listdir(bench.tree))
        assert os.listdir(bench.tree / "dev") == []
        assert sorted(os.listdir(bench.tree / "etc")) == ["group", "passwd"]

    at_bench(tmp_path, work)


def test_the_links_of_an_image_lead_only_into_the_image(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        outside = bench.folder / "outside"
        outside.mkdir()
        (outside / "hosts").write_text("canary")
        (bench.tree / "etc/hosts").symlink_to(f"{outside}/hosts")
        (bench.tree / "etc/resolv.conf").symlink_to("../../../../../run/deep/resolv.conf")
        (bench.tree / "run").symlink_to(str(outside))
        (bench.tree / "dev").rmdir()
        (bench.tree / "dev").symlink_to("../../outside")
        before = bench.look()
        secret = Secret("s", "/run/secret", 0o400, 0, 0, "")
        ended = bench.sh("cat /etc/hosts /run/secret; test -c /dev/null && echo null", secret)
        assert "localhost" in ended.out
        assert ended.out.endswith("snull\n")
        assert os.listdir(outside) == ["hosts"]
        assert (outside / "hosts").read_text() == "canary"
        (bench.tree / "outside").rmdir()  # where /dev leads to: a directory of the system stays where it had to be made
        assert bench.look() == before

    at_bench(tmp_path, work)


def test_run_mounts_are_there_for_the_step_alone(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        source = bench.folder / "source"
        (source / "sub").mkdir(parents=True)
        (source / "sub/file").write_text("from there")
        (source / "sub/link").symlink_to("file")
        cache = bench.folder / "caches/one/content"
        cache.mkdir(parents=True)
        (cache / "kept").write_text("old")
        (bench.tree / "tmp/covered").write_text("x")
        before = bench.look()
        ended = bench.sh(
            "cat /run/secrets/key; ls -ln /run/secrets/key >&2; cat /src/link; cat /cache/kept; echo new >/cache/new;"
            "ls /tmp; touch /tmp/own; echo changed >/src/file",
            Tree(Folder(str(source)), "sub", "/src", "", read_only=False),
            Bind(str(cache), "/cache"),
            Secret("sesame\n", "/run/secrets/key", 0o440, 5, 6, ""),
            Tmpfs("/tmp"),
        )
        assert ended.out == "sesame\nfrom thereold"
        assert ended.err.split()[:4] == ["-r--r-----", "1", "5", "6"]
        assert bench.look() == before
        assert (cache / "new").read_text() == "new\n"
        assert (source / "sub/file").read_text() == "from there"

    at_bench(tmp_path, work)


def _caches(folder: Path, *names: str) -> list[str]:
    paths = [folder / "caches" / name / "content" for name in names]
    for path in paths:
        path.mkdir(parents=True)
    return [str(path) for path in paths]


def test_a_folder_above_a_target_is_as_before_whatever_dots_its_name_has(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        for name in (".cache", "cache"):
            (bench.tree / name).mkdir()
            os.utime(bench.tree / name, (1, 1))
        before = bench.look()
        (cache,) = _caches(bench.folder, "one")
        assert bench.sh("echo kept >/.cache/made/pip/file", Bind(cache, "/.cache/made/pip")).status == 0
        assert bench.look() == before
        assert ".cache" in bench.touched

    at_bench(tmp_path, work)


def test_steps_that_share_caches_in_any_order_do_not_wait_for_each_other_for_good(tmp_path: Path) -> None:
    def work(bench: Bench) -> list[int]:
        (tmp_path / "other").mkdir()
        other = Bench(tmp_path / "other", bare)
        one, two = _caches(tmp_path, "one", "two")
        ends: list[int] = []

        def run(bench: Bench, first: str, second: str) -> None:
            ends.append(bench.sh("true", Bind(first, "/a"), Bind(second, "/b")).status)

        threads = [Thread(target=run, args=order, daemon=True) for order in ((bench, one, two), (other, two, one))]
        with ExitStack() as held:  # so that each waits for its first
            for path in (one, two):
                fcntl.flock(held.enter_context(Root.open(os.path.dirname(path))).fd, fcntl.LOCK_EX)
            for thread in threads:
                thread.start()
            time.sleep(0.5)
        for thread in threads:
            thread.join(10)
        return ends

    assert at_bench(tmp_path, work) == [0, 0]


def test_one_cache_at_two_places_is_refused(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        (cache,) = _caches(bench.folder, "one")
        with pytest.raises(SandboxError, match="mount at /b: the same directory is at /a already"):
            bench.sh("true", Bind(cache, "/a"), Bind(cache, "/b"))
        assert bench.sh("true", Bind(cache, "/a")).status == 0

    at_bench(tmp_path, work)


def test_a_mounted_tree_is_copied_however_deep_it_is_and_with_its_links(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        source = bench.folder / "source"
        source.mkdir()
        (source / "one").write_text("x")
        os.link(source / "one", source / "two")
        with Cursor(str(source)) as cursor:
            for _ in range(_DEEP):
                os.mkdir("d", dir_fd=cursor.fd)
                cursor.down("d")
        ended = bench.sh(
            f"stat -c %h /src/one; cd /src; i=0; while [ $i -lt {_DEEP} ]; do cd -P d; i=$((i + 1)); done; echo $i",
            Tree(Folder(str(source)), ".", "/src", "", read_only=False),
        )
        assert ended.out == f"2\n{_DEEP}\n"
        with Root.open(bench.folder) as folder:
            folder.remove("source")  # pytest could not

    at_bench(tmp_path, work)


def test_an_agent_is_reached_through_its_socket(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(bench.folder / "agent"))
            ended = bench.sh("test -S /run/agent.0 && echo socket", Bind(str(bench.folder / "agent"), "/run/agent.0"))
        assert ended.out == "socket\n"
        assert not (bench.tree / "run").exists()

    at_bench(tmp_path, work)


def test_a_failed_step_leaves_no_secret(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        before = bench.look()
        with pytest.raises(SandboxError, match="nobody-here"):
            bench.sh("true", Secret("s", "/run/secrets/key", 0o400, 0, 0, ""), user="nobody-here")
        assert bench.look() == before

    at_bench(tmp_path, work)


def test_the_user_of_the_image_has_its_ids_and_groups(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        assert bench.sh("id; pwd", user="app", working_dir="/tmp").out == (
            "uid=1000(app) gid=1001(app) groups=44(video),1001(app)\n/tmp\n"
        )
        assert bench.sh("touch /etc/x", user="app").status == 1

    at_bench(tmp_path, work)


def test_what_cannot_be_offered_is_said_once_or_refused_by_name(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        bench.sh("true")
        bench.sh("true")
        assert len(bench.warnings) == 1
        assert "/proc" in bench.warnings[0]
        assert "proot" in bench.warnings[0]
        check_what_is_refused(bench)

    at_bench(tmp_path, work)


def test_a_step_has_the_hosts_the_limits_and_the_terminal_that_it_is_given(tmp_path: Path) -> None:
    def work(bench: Bench) -> None:
        check_what_is_given(bench)
        assert bench.on_terminal("echo mine >/dev/tty", user="app") == ("mine\r\n", 0)

    at_bench(tmp_path, work)


def test_a_program_for_another_processor_is_refused_by_its_platform(tmp_path: Path) -> None:
    def work(bench: Bench) -> str:
        (bench.tree / "count").write_bytes(counting_program(PROCESSORS["riscv64"]))
        (bench.tree / "count").chmod(0o755)
        with pytest.raises(CannotStart) as caught:
            bench.run("/count", platform=Platform("linux", "riscv64"))
        return str(caught.value)

    message = "/count: this machine runs no programs for linux/riscv64 (install proot and qemu-user-static)"
    assert at_bench(tmp_path, work) == message


def test_refused_nodes_are_one_clear_line(tmp_path: Path) -> None:
    def inside() -> None:
        from ocibuild.sandbox import syscalls

        be_root_of_container()
        syscalls.limit_capabilities(~CAP_MKNOD)
        bench = Bench(tmp_path, bare)
        with pytest.raises(SandboxError, match=r"/dev/null cannot be made.*CAP_MKNOD"):
            bench.sh("true")
        assert os.listdir(bench.tree / "dev") == []

    in_child(inside)
