"""Steps of a user with one ID see, and leave in their layer, the owners that steps of root do."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.sandbox.seccomp import NOTIFY, Rule, compile_rules, install
from ocibuild.sandbox.syscalls import PR_SET_NO_NEW_PRIVS, prctl
from tests.support.lab import LONELY, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.lab import Lab

pytestmark = [needs_root, needs_busybox]

SCRIPTS = {
    "chown": "touch /f /g; chown 102:105 /f; busybox chgrp 44 /g; ls -ln /f /g",
    "chown-by-name": "touch /f; chown app:video /f; ls -l /f",
    "chown-keeps-the-other": "touch /f; chown 102:105 /f; chown 7 /f; chown :8 /f; stat -c %u:%g /f",
    "chown-nothing": "touch /f; chown 102:105 /f; chown : /f; stat -c %u:%g /f",
    "chown-recursive": "mkdir -p /d/e/f; touch /d/e/x; ln -s x /d/e/l; chown -R 5:6 /d; ls -lnR /d",
    "chown-follows": "touch /f; ln -s f /l; chown 102 /l; ls -ln /f /l",
    "chown-of-a-link": "ln -s nowhere /l; chown -h 7:8 /l; ls -ln /l; stat -c %u:%g /l",
    "times-of-a-link": "ln -s x /l; chown -h 7:8 /l; busybox touch -h -d '2020-01-02 03:04:05' /l; stat -c %u:%g:%Y /l",
    "times-of-a-fifo": "mknod /p p; chown 7:8 /p; busybox touch -d '2020-01-02 03:04:05' /p; stat -c %u:%g:%Y /p",
    "times-that-nobody-changes": "ln -s x /l; chown -h 7:8 /l; test $(stat -c %X /l) -lt 4000000000; echo $?",
    "chown-of-a-fifo": "busybox mkfifo /p; chown 9:10 /p; stat -c %F:%u:%g /p",
    "chown-of-the-root": "chown 5 /; stat -c %u /",
    "chown-below-the-current-directory": "mkdir -p /a/b; cd /a/b; touch x; chown 3 x ../b; ls -lnd . x",
    "chown-of-a-closed-file": "touch /f; chmod 0 /f; chown 3:4 /f; stat -c %a:%u:%g /f",
    "chown-of-a-missing-file": "chown 3 /missing; echo $?",
    "chown-of-the-machines": "chown 3 /dev/null /proc/self/status 2>/dev/null; echo done",
    "chown-of-a-pipe": "chown 3 /proc/self/fd/1 | cat; echo done",
    "set-user-id-is-lost": "touch /f; chmod 6755 /f; chown 3 /f; stat -c %a /f",
    "set-group-id-of-a-directory-stays": "mkdir /d; chmod 6755 /d; chown 3 /d; stat -c %a /d",
    "owner-is-kept": "touch /f; chown 3:4 /f; chmod 640 /f; echo more >> /f; mv /f /g; ln /g /h; ls -ln /g /h",
    "owner-of-a-link-is-kept": "ln -s x /l; chown -h 3:4 /l; mv /l /m; ln /m /n; ls -ln /m /n",
    "copy-with-owners": "touch /f; chown 3:4 /f; busybox cp -p /f /g; busybox cp /f /h; ls -ln /f /g /h",
    "tar-with-owners": (
        "mkdir /d; touch /d/f; chown 3:4 /d/f; busybox tar cf /t -C /d f; busybox tar xf /t; ls -ln f; "
        "rm t"
    ),
    "devices": (
        "mknod /c c 1 3; mknod /b b 8 1; chmod 620 /c; chown 5:6 /c; ls -ln /c /b; "
        "busybox test -c /c && echo char"
    ),
    "fifo": "mknod /p p; mknod -m 604 /q p; ls -ln /p /q",
    "new-files-of-a-user": (
        "su app -s /bin/sh -c 'id; cd /tmp; touch a; mkdir d; ln -s x l; busybox mkfifo p; echo > e; "
        "ls -ln'"
    ),
    "umask-of-a-user": "su app -s /bin/sh -c 'umask 027; cd /tmp; touch a; mkdir d; busybox mkfifo p; ls -ln'",
    "rights-of-a-user": (
        "su app -s /bin/sh -c 'cd /tmp; touch a; chown 0 a; chown 44 a; chown :1001 a; "
        "mknod c c 1 3'; echo $?"
    ),
    "group-of-a-directory": (
        "mkdir /s; chown 0:50 /s; chmod 2775 /s; cd /s; touch x; mkdir d; ln -s q l; busybox mkfifo p; "
        "ls -ln"
    ),
    "in-a-root-below": (
        "mkdir -p /j/d; cp_busybox /j; busybox chroot /j /busybox chown 3:4 /d; ls -ln /j; "
        "busybox chroot /j /busybox ls -lnd /d"
    ),
    "who-one-is": "id; su app -s /bin/sh -c id; id; su app -s /bin/sh -c 'busybox id -u; busybox id -un'",
    "hard-links": "touch /f; ln /f /g; chown 3 /g; ls -ln /f /g",
    "many": "mkdir /m; cd /m; for i in 1 2 3 4 5 6 7 8 9; do touch $i; chown $i:1$i $i; done; ls -ln",
}  # fmt: skip
AS_APP = {
    "who-one-is": "id; busybox whoami",
    "files": "cd /tmp; touch a; mkdir d; echo > d/e; ln -s x l; ls -lnR",
    "rights": "cd /tmp; touch a; chown 0 a; echo $?; chgrp 44 a; echo $?; stat -c %u:%g a",
    "sticky": "echo x > /tmp/x; ls -ln /tmp/x",
}
# of files by name: what can differ between two runs is left out
Layer = dict[str, tuple[bytes, int, int, int, tuple[int, int], str]]


def _base(folder: Path) -> None:
    (folder / "bin").mkdir()
    for name in ("chgrp", "su"):
        (folder / "bin" / name).symlink_to("busybox")
    cp = folder / "bin/cp_busybox"
    cp.write_text("#!/bin/sh\ncat /bin/busybox > $1/busybox\nchmod 755 $1/busybox\n")
    cp.chmod(0o755)
    (folder / "bin").chmod(0o755)


def _outcome(made: Lab, script: str, user: str) -> tuple[int, list[str], Layer]:
    stack = [*made.base, made.snapshot(_base)]
    with made.store.snapshots.begin() as active:
        ended = made.run_in(active, "/bin/sh", "-c", script, stack=stack, user=user)
        snapshot = active.commit()
    layer = made.snapshotter.pack(stack, snapshot)
    with made.store.blobs.open(layer.descriptor.digest) as blob:
        plain = gzip.decompress(blob.read())
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = {
            one.name: (one.type, one.mode, one.uid, one.gid, (one.devmajor, one.devminor), one.linkname) for one in tar
        }
    return ended.status, _without_times((ended.out + ended.err).splitlines()), found


def _without_times(lines: list[str]) -> list[str]:
    """Leave out of a long listing what is between its owner and its name."""
    listed = ("-", "d", "l", "p", "c", "b")
    return [
        " ".join([*line.split()[:4], *line.split()[8:]]) if line.startswith(listed) and len(line.split()) > 8 else line
        for line in lines
        if not line.startswith("total ")
    ]


def _same_for_both(tmp_path: Path, script: str, user: str = "") -> None:
    roots, lonely = tmp_path / "root", tmp_path / "lonely"
    for folder in (roots, lonely):
        folder.mkdir()
    as_root = in_lab(roots, lambda made: _outcome(made, script, user))
    assert in_lab(lonely, lambda made: _outcome(made, script, user), uid=LONELY) == as_root


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_step_sees_and_leaves_what_roots_does(script: str, tmp_path: Path) -> None:
    _same_for_both(tmp_path, script)


@pytest.mark.parametrize("script", AS_APP.values(), ids=AS_APP)
def test_step_of_a_user_sees_and_leaves_what_it_would_with_all_ids(script: str, tmp_path: Path) -> None:
    _same_for_both(tmp_path, script, "app")


def test_owner_of_a_lower_layer_is_kept_when_a_file_is_copied_up(tmp_path: Path) -> None:
    def work(made: Lab) -> list[str]:
        stack = [*made.base, made.snapshot(_base)]
        for script in (
            "mkdir /d; touch /d/f; ln -s f /d/l; busybox mkfifo /d/p; chown -R -h 3:4 /d",
            "echo more >> /d/f; chmod 700 /d; mv /d/l /d/m; chmod 600 /d/p",
        ):
            with made.store.snapshots.begin() as active:
                assert made.run_in(active, "/bin/sh", "-c", script, stack=stack).status == 0
                stack.append(active.commit())
        layer = made.snapshotter.pack(stack[:-1], stack[-1])
        with made.store.blobs.open(layer.descriptor.digest) as blob, tarfile.open(fileobj=blob) as tar:
            return [f"{one.name} {one.uid}:{one.gid}" for one in tar]

    expected = ["d 3:4", "d/f 3:4", "d/.wh.l 0:0", "d/m 3:4", "d/p 3:4"]
    assert in_lab(tmp_path, work, uid=LONELY) == expected


def _listen() -> None:
    """Be somebody who listens already, as the kernel lets only one."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    install(compile_rules([Rule(("acct",), NOTIFY)], machine=os.uname().machine), listener=True)


def test_where_nobody_can_answer_calls_only_look_done_and_a_word_is_said_once(tmp_path: Path) -> None:
    def work(made: Lab) -> tuple[list[int], list[str], Layer]:
        warnings: list[str] = []
        made.executor = ChrootExecutor(made.spawner, made.identity, warn=warnings.append)
        script = "touch /f; chown 3:4 /f; su app -s /bin/sh -c true"
        first, second = (_outcome(made, script, "") for _ in range(2))
        return [first[0], second[0]], warnings, first[2]

    statuses, warnings, layer = in_lab(tmp_path, work, uid=LONELY, before=_listen)
    assert statuses == [0, 0]
    assert len(warnings) == 1
    assert "belong to root" in warnings[0]
    assert layer["f"][2:4] == (0, 0)
