"""What a RUN finds around it, what it may do, and that nothing of it is left in the layer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.trees import read_archive

if TYPE_CHECKING:
    from tests.support.program import Built, Program
    from tests.support.trees import Image

DOCKERS_CAPABILITIES = "00000000a80425fb"
_SYSTEM = ("dev", "proc", "sys")  # BuildKit leaves them, too, where an image has none


def _build(program: Program, text: str, files: dict[str, str | bytes] | None = None) -> tuple[Built, Image]:
    archive = program.user.home / "image.tar"
    context = program.context("sandbox", {"Dockerfile": text, **(files or {})})
    built = program.build(context, "-o", f"type=oci,dest={archive}")
    return built, read_archive(archive)


def _said(program: Program, base: str, *commands: str) -> list[str]:
    """Return the lines that one RUN of ``commands`` writes."""
    text = f"FROM {base}\nRUN {' && '.join(commands)}\n"
    return program.build(program.context("said", {"Dockerfile": text})).output


def test_kernel_file_systems_are_there(shared: Program, busybox_base: str) -> None:
    checks = [
        "test -r /proc/self/status",
        "test $(cat /proc/sys/kernel/pid_max) -gt 1",
        "test -d /sys/class",
        "echo x > /dev/null",
        "head -c 4 /dev/zero | wc -c",
        "test -c /dev/random && test -c /dev/urandom && test -c /dev/full && test -c /dev/tty",
        "test -h /dev/fd && test -h /dev/stdin && test -h /dev/ptmx && test -d /dev/pts && test -d /dev/shm",
        "echo shared > /dev/shm/file",
        "echo to-stdout > /dev/stdout",
        "echo to-stderr > /dev/stderr",
        "! touch /proc/sys/kernel/hostname /sys/kernel/x 2> /dev/null",
        "! cat /proc/kcore > /dev/full",
    ]
    said = _said(shared, busybox_base, *checks)
    assert "4" in said
    assert "to-stdout" in said
    assert "to-stderr" in said


def test_names_are_resolved_as_on_the_machine(shared: Program, busybox_base: str) -> None:
    said = _said(shared, busybox_base, "cat /etc/resolv.conf", "echo --", "cat /etc/hosts", "hostname")
    servers = [line for line in Path("/etc/resolv.conf").read_text().splitlines() if line.startswith("nameserver")]
    assert set(servers) <= set(said)
    assert any(line.split()[:2] == ["127.0.0.1", "localhost"] for line in said[said.index("--") :])
    assert said[-1] != os.uname().nodename


def test_capabilities_are_dockers(shared: Program, busybox_base: str) -> None:
    said = _said(shared, busybox_base, "grep Cap /proc/self/status", "grep NoNewPrivs /proc/self/status")
    sets = dict(line.split() for line in said)
    assert sets["CapBnd:"] == sets["CapPrm:"] == sets["CapEff:"] == DOCKERS_CAPABILITIES
    assert sets["CapInh:"] == sets["CapAmb:"] == "0" * 16
    assert sets["NoNewPrivs:"] == "0"


def test_ordinary_user_in_the_image_has_no_capabilities(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nUSER app\nRUN grep Cap /proc/self/status\n"
    built = shared.build(shared.context("user", {"Dockerfile": text}))
    sets = dict(line.split() for line in built.output)
    assert sets["CapEff:"] == sets["CapPrm:"] == sets["CapInh:"] == sets["CapAmb:"] == "0" * 16
    assert sets["CapBnd:"] == DOCKERS_CAPABILITIES


def test_step_sees_its_own_processes_alone(shared: Program, busybox_base: str) -> None:
    said = _said(shared, busybox_base, "echo $$", "ls -d /proc/[0-9]* | wc -l", "ls /proc/self/fd | wc -w")
    assert said[0] == "1"
    assert int(said[1]) <= 5
    assert int(said[2]) == 4  # its streams, and the folder that ls reads


def test_step_cannot_reach_the_machine(shared: Program, busybox_base: str) -> None:
    """No mount of the machine is in sight, and none can be made; setuid programs work, device nodes do not."""
    said = _said(shared, busybox_base, "cat /proc/self/mountinfo", "! mount -t tmpfs none /mnt 2> /dev/null")
    options = {line.split()[4]: line.split()[5].split(",") for line in said}
    files = {"/", "/etc/hosts", "/etc/resolv.conf"}
    assert files <= set(options)
    assert all(path in files or path.startswith(("/proc", "/sys", "/dev")) for path in options)
    assert "nosuid" not in options["/"]
    assert "nodev" in options["/"]
    assert "ro" in options["/sys"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", "1000:1000:/home/app"),
        ("1000", "1000:1000:/home/app"),
        ("app:nogroup", "1000:65534:/home/app"),
        ("1234", "1234:0:/"),
        ("1234:4321", "1234:4321:/"),
        ("app:0", "1000:0:/home/app"),
    ],
)
def test_user_is_looked_up_in_the_image(user: str, expected: str, shared: Program, busybox_base: str) -> None:
    text = f'FROM {busybox_base}\nUSER {user}\nRUN echo "$(id -u):$(id -g):$HOME"\n'
    assert shared.build(shared.context("user", {"Dockerfile": text})).output == [expected]


@pytest.mark.parametrize("user", ["nobody-knows", "app:nobody-knows"])
def test_unknown_user_is_refused_by_name(user: str, shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nUSER {user}\nRUN true\n"
    built = shared.try_build(shared.context("user", {"Dockerfile": text}))
    assert built.status == 1
    (error,) = built.errors
    assert "nobody-knows" in error
    assert "Dockerfile:3" in error


def test_groups_of_the_user_are_those_of_the_image(shared: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base}
RUN echo 'further:x:2000:other,app' >> /etc/group
USER app
RUN id -G
"""
    assert shared.build(shared.context("groups", {"Dockerfile": text})).output == ["1000 2000"]


def test_only_folders_are_left_where_the_image_has_nothing(shared: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base} AS tools
FROM scratch
COPY --from=tools /usr/bin/busybox /busybox
RUN ["/busybox", "sh", "-c", "/busybox cat /etc/hosts /proc/version /dev/null; echo x >> /etc/resolv.conf"]
"""
    _, image = _build(shared, text)
    assert set(image.tree) == {"busybox", *_SYSTEM}


def test_what_a_step_puts_beside_them_stays(shared: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base} AS tools
FROM scratch
COPY --from=tools /usr/bin/busybox /busybox
RUN ["/busybox", "sh", "-c", "echo x > /etc/own"]
"""
    _, image = _build(shared, text)
    assert set(image.tree) == {"busybox", "etc", "etc/own", *_SYSTEM}


@pytest.mark.parametrize("target", ["../run/systemd/resolve/stub-resolv.conf", "/nowhere/resolv.conf", "/etc/real"])
def test_symlink_in_place_of_resolv_conf_stays(target: str, shared: Program, busybox_base: str) -> None:
    """Dangling, as in many images, or not: it is followed inside the image, and the layer has nothing of it."""
    text = f"""\
FROM {busybox_base}
RUN echo real > /etc/real
COPY etc/ /etc/
RUN grep -q . /etc/resolv.conf && echo found
RUN true
"""
    context = shared.context("linked", {"Dockerfile": text})
    (context / "etc").mkdir()
    (context / "etc/resolv.conf").symlink_to(target)
    shared.user.give(context)
    archive = shared.user.home / "image.tar"
    built = shared.build(context, "-o", f"type=oci,dest={archive}")
    image = read_archive(archive)
    assert built.output == ["found"]
    assert image.tree["etc/resolv.conf"].detail == target
    assert image.layers[-2:] == ((), ())


def test_own_hosts_and_resolv_conf_of_the_image_stay(shared: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base}
COPY hosts resolv.conf /etc/
RUN echo changed >> /etc/hosts && echo changed >> /etc/resolv.conf
"""
    files: dict[str, str | bytes] = {"hosts": "own hosts", "resolv.conf": "own servers"}
    _, image = _build(shared, text, files)
    assert image.layers[-1] == ()


def test_device_nodes_are_recorded_and_cannot_be_used(shared: Program, busybox_base: str) -> None:
    """As root; an ordinary user's kernel refuses to make them, as in rootless docker."""
    commands = ["mknod /node c 1 5 2> /dev/null && ! head -c 1 /node > /dev/null 2>&1", "echo refused"]
    text = f"FROM {busybox_base}\nRUN {' || '.join(commands)}\n"
    built, image = _build(shared, text)
    if shared.user.account.uid == 0:
        assert image.tree["node"].kind == "c"
        assert image.tree["node"].detail == "1,5"
    else:
        assert built.output == ["refused"]


def test_devices_of_the_machine_keep_their_modes(shared: Program, busybox_base: str) -> None:
    before = os.stat("/dev/full")
    try:
        text = f"FROM {busybox_base}\nRUN chmod 640 /dev/full; chown 1:1 /dev/full; touch /dev/full; true\n"
        shared.build(shared.context("devices", {"Dockerfile": text}))
        after = os.stat("/dev/full")
        assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)
    finally:
        if os.geteuid() == 0:
            os.chmod("/dev/full", before.st_mode)
            os.chown("/dev/full", before.st_uid, before.st_gid)


@pytest.mark.parametrize("status", [1, 42, 255])
def test_exit_status_is_in_the_error(status: int, shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN exit {status}\n"
    built = shared.try_build(shared.context("status", {"Dockerfile": text}))
    assert built.status == 1
    (error,) = built.errors
    assert error.endswith(f"exit code: {status}")


def test_signal_is_in_the_error(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN sh -c 'kill -9 $$'; exit $?\n"
    built = shared.try_build(shared.context("status", {"Dockerfile": text}))
    assert built.errors[0].endswith("exit code: 137")


def test_network_none_has_a_loopback_alone(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN ls /sys/class/net\n"
    built = shared.build(shared.context("network", {"Dockerfile": text}), "--network", "none")
    assert built.output == ["lo"]


@pytest.mark.parametrize("name", ["relative", "/absolute"])
def test_exec_form_that_names_no_program_fails_with_one_line(name: str, shared: Program, busybox_base: str) -> None:
    text = f'FROM {busybox_base}\nRUN ["{name}", "argument"]\n'
    built = shared.try_build(shared.context("absent", {"Dockerfile": text}))
    assert built.status == 1
    (error,) = built.errors
    assert name in error
    assert "Dockerfile:2" in error
