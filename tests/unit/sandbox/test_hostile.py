from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from tests.support.lab import LONELY, Lab, in_child, in_lab, lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [needs_root, needs_busybox]


def _error(work: Callable[[], object]) -> str:
    try:
        return f"no error, but {work()}"
    except SandboxError as error:
        return str(error)


def test_step_has_no_descriptor_but_its_streams(tmp_path: Path) -> None:
    def work() -> str:
        inherited = os.open("/", os.O_RDONLY)
        os.set_inheritable(inherited, True)
        with lab(tmp_path / "store") as made:
            return made.sh("ls /proc/self/fd; ls -l /proc/self/fd >&2").out

    # 3 is the directory that ls reads
    assert in_child(work).split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "program", ["/proc/self/exe", "/proc/1/exe", "/proc/thread-self/exe", "/link", "/script", "/chain", "/spaced"]
)
def test_our_own_interpreter_is_not_run(program: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "link").symlink_to("/proc/self/exe")
        for name, first in (("script", "#!/proc/self/exe"), ("chain", "#!/script"), ("spaced", "#! \t/link -c x")):
            (folder / name).write_text(f"{first}\nprint('escaped')\n")
            (folder / name).chmod(0o755)

    def work(made: Lab) -> str:
        stack = [*made.base, made.snapshot(fill)]
        return _error(lambda: made.run(program, stack=stack))

    assert "Too many levels of symbolic links" in in_lab(tmp_path, work)


def test_working_directory_is_not_reached_through_a_descriptor(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return _error(lambda: made.run("pwd", working_dir="/proc/self/fd/0/.."))

    assert in_lab(tmp_path, work).startswith("working directory /proc/self/fd/0/..:")


@pytest.mark.parametrize(
    "script",
    [
        "chmod 600 /dev/null",
        "chown 1000 /dev/null",
        "rm /dev/null",
        "mknod /dev/mem0 c 1 1 && dd if=/dev/mem0 bs=1 count=1",
        "mknod /mem0 c 1 1 && dd if=/mem0 bs=1 count=1",
        "mount -t tmpfs none /tmp",
        "echo 1 > /proc/sys/kernel/panic",
        "echo x > /sys/kernel/mm/ksm/run",
        "hostname changed",
        "dd if=/proc/kcore bs=1 count=1 | grep -q .",
        "ls /sys/firmware | grep -q .",
        "ls /dev/shm/../../root/.. | grep -q machine-only",
        "kill -0 2",
    ],
)
def test_step_cannot(script: str, tmp_path: Path) -> None:
    before = os.stat("/dev/null")

    def work(made: Lab) -> int:
        return made.sh(script).status

    assert in_lab(tmp_path, work) != 0
    after = os.stat("/dev/null")
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)


def test_step_has_the_capabilities_that_docker_gives(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[str, str]:
        script = "grep Cap /proc/self/status"
        return made.sh(script).out, made.sh(script, user="app").out

    as_root, as_user = in_lab(tmp_path, work)
    sets = dict(line.split(":\t") for line in as_root.splitlines())
    assert sets == {
        "CapInh": "0" * 16,
        "CapPrm": "00000000a80425fb",
        "CapEff": "00000000a80425fb",
        "CapBnd": "00000000a80425fb",
        "CapAmb": "0" * 16,
    }
    sets = dict(line.split(":\t") for line in as_user.splitlines())
    assert sets["CapEff"] == sets["CapPrm"] == "0" * 16


def test_step_sees_only_its_own_processes(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.sh("ls /proc | grep '^[0-9]'").out

    assert len(in_lab(tmp_path, work).split()) <= 3


def test_step_uses_a_terminal_of_its_own(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.sh("exec 3<>/dev/ptmx && ls /dev/pts; echo x > /dev/null; head -c 2 /dev/urandom | wc -c").out

    assert in_lab(tmp_path, work).split() == ["0", "ptmx", "2"]


@pytest.mark.parametrize("kind", ["fifo", "huge", "directory", "to-proc", "to-stdin", "loop", "device"])
def test_account_file_of_any_kind_does_no_harm(kind: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "etc").mkdir()
        path = folder / "etc/passwd"
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "huge":
                with path.open("wb") as file:
                    file.truncate(1 << 40)
            case "directory":
                path.mkdir()
            case "to-proc":
                path.symlink_to("/proc/kmsg")
            case "to-stdin":
                path.symlink_to("/dev/stdin")
            case "loop":
                path.symlink_to("passwd")
            case "device":
                os.mknod(path, 0o20666, os.makedev(1, 5))

    def work(made: Lab) -> tuple[str, str]:
        stack = [*made.base, made.snapshot(fill)]
        named = _error(lambda: made.run("/bin/true", stack=stack, user="app"))
        return made.run("/bin/grep", "Uid", "/proc/self/status", stack=stack, user="7").out, named

    numbers, named = in_lab(tmp_path, work)
    assert numbers.split() == ["Uid:", "7", "7", "7", "7"]
    assert "user 'app': not in the image's /etc/passwd" in named


@pytest.mark.parametrize("target", ["etc/resolv.conf", "etc/hosts"])
@pytest.mark.parametrize("link", ["/secret", "../run/missing/stub", "/proc/self/exe"])
def test_mount_target_that_is_a_link_leads_nowhere(target: str, link: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"

    def fill(folder: Path) -> None:
        (folder / "etc").mkdir()
        (folder / target).symlink_to(link)
        (folder / "secret").write_text("of the image\n")

    def work(made: Lab) -> tuple[str, list[str]]:
        stack = [*made.base, made.snapshot(fill)]
        with made.store.snapshots.begin() as active:
            ended = made.run_in(active, "/bin/sh", "-c", f"echo added >> /{target}; cat /secret", stack=stack)
            made.snapshotter.forget_targets(active, ended.created)
            return ended.out, sorted(os.listdir(active.upper))

    assert in_lab(tmp_path, work) == ("of the image\n", [])
    assert not secret.exists()


def test_links_in_the_parents_of_a_mount_target_stay_inside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(folder: Path) -> None:
        (folder / "bin").mkdir()
        (folder / "etc").symlink_to(f"../../..{outside}")

    def work(made: Lab) -> Lab | str:
        stack = [made.base[0], made.snapshot(fill)]
        return made.run("/bin/cat", "/etc/hosts", stack=stack).out

    assert "localhost" in str(in_lab(tmp_path, work))
    assert os.listdir(outside) == []


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_system_directory_that_is_a_link_is_refused(name: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / name).symlink_to("/tmp")

    def work(made: Lab) -> str:
        return _error(lambda: made.run("/bin/true", stack=[*made.base, made.snapshot(fill)]))

    assert in_lab(tmp_path, work).startswith(f"/{name}: ")


def test_ordinary_user_without_a_range_is_confined_too(tmp_path: Path) -> None:
    out = in_lab(tmp_path, lambda made: made.sh("id -u; ls /proc/self/fd").out, uid=LONELY)
    assert out.split() == ["0", "0", "1", "2", "3"]
