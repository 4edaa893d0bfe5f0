"""The rows: who starts ocibuild, from behind what, in what container, with which flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.lab import LONELY
from tests.support.setup_peers import ORDINARY_USER, SYSTEM_PYTHON


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: ``front`` are the words of this machine's root in front of the program, ``flags`` a build's.

    ``container`` are the options of ``docker run``, for a row that is in a container. ``cases`` are those of the daily
    run, all where it does not say; ``chosen`` is what the doctor is to find: an executor and a snapshotter.
    """

    name: str
    front: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    container: tuple[str, ...] | None = None
    cases: tuple[str, ...] | None = None
    chosen: tuple[str | None, str | None] = ("chroot", "overlay")


_REFUSED = (SYSTEM_PYTHON, "-I", str(Path(__file__).with_name("refuse.py")))
"""User namespaces and mounts refused by a seccomp filter."""
_WITH_RANGE = ("setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--init-groups")
_WITHOUT_RANGE = ("setpriv", f"--reuid={LONELY}", f"--regid={LONELY}", "--clear-groups")
_DOCKERS_CAPABILITIES = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
_WITHOUT_ADMIN = (
    "setpriv",
    "--inh-caps=-all",
    "--bounding-set=-all" + "".join(f",+{c}" for c in _DOCKERS_CAPABILITIES),
)

ROOT = Row("root")
RANGE = Row("a range", _WITH_RANGE)
ONE_ID = Row("one ID", _WITHOUT_RANGE)
_COPY = ("chroot", "copy")
_PROOT = ("proot", "copy")
ROOT_COPY = Row("root, copy", flags=("--snapshotter", "copy"), cases=("hard-links", "many-files"), chosen=_COPY)
RANGE_COPY = Row("a range, copy", _WITH_RANGE, ("--snapshotter", "copy"), cases=("replaced",), chosen=_COPY)
ONE_ID_COPY = Row(
    "one ID, copy", _WITHOUT_RANGE, ("--snapshotter", "copy"), cases=("chown-tree", "stages"), chosen=_COPY
)
BARE = Row(
    "bare chroot",
    (*_REFUSED, *_WITHOUT_ADMIN),
    ("--executor", "chroot"),
    cases=("accounts", "chown-tree", "fifos", "mounts", "user-steps"),
    chosen=_COPY,
)
PROOT_ROOT = Row(
    "proot as root", (*_REFUSED, *_WITHOUT_ADMIN), ("--executor", "proot"), cases=("accounts", "devices"), chosen=_PROOT
)
PROOT = Row(
    "proot",
    (*_REFUSED, *_WITHOUT_RANGE),
    ("--executor", "proot"),
    cases=("accounts", "capabilities", "chown-tree", "devices", "mounts", "setuid", "tar-as-root", "user-steps"),
    chosen=_PROOT,
)

_READ_ONLY = ("--read-only", "--tmpfs", "/tmp:exec", "--env", "OCIBUILD_ROOT=/tmp/store")
_VOLUME = ("--volume", "/store", "--env", "OCIBUILD_ROOT=/store")
"""A store that is not on the container's own overlay."""
_UNCONFINED = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")
_SMALL = ("user-steps",)
_SMALL_AND_MEDIUM = ("user-steps", "daemons")

DOCKER = Row("docker", container=(), cases=_SMALL, chosen=_PROOT)
DOCKER_USER = Row("docker, user 1000", container=("--user", "1000:1000"), cases=_SMALL_AND_MEDIUM, chosen=_PROOT)
DOCKER_NO_CAPABILITIES = Row("docker, no capabilities", container=("--cap-drop=ALL",), cases=_SMALL, chosen=_PROOT)
DOCKER_READ_ONLY = Row("docker, read-only", container=_READ_ONLY, cases=_SMALL, chosen=_PROOT)
DOCKER_NO_ENTRY = Row(
    "docker, no passwd entry",
    container=("--user", "12345:0", "--env", "OCIBUILD_ROOT=/tmp/store"),
    cases=_SMALL,
    chosen=_PROOT,
)
DOCKER_ADMIN = Row(
    "docker, CAP_SYS_ADMIN", container=("--cap-add=SYS_ADMIN", *_UNCONFINED, *_VOLUME), cases=_SMALL_AND_MEDIUM
)
DOCKER_UNCONFINED_USER = Row(
    "docker, unconfined, user 1000", container=("--user", "1000:1000", *_UNCONFINED), cases=_SMALL, chosen=_COPY
)
DOCKER_COVERED = Row(
    "docker, seccomp unconfined",
    flags=("--executor", "chroot"),
    container=("--security-opt", "seccomp=unconfined"),
    cases=_SMALL,
    chosen=_COPY,
)

MACHINE_ROWS = (ROOT, RANGE, ONE_ID, ROOT_COPY, RANGE_COPY, ONE_ID_COPY, BARE, PROOT_ROOT, PROOT)
"""The rows of this machine that are tested; the first is what the others are held against."""
CONTAINER_ROWS = (
    DOCKER,
    DOCKER_USER,
    DOCKER_NO_CAPABILITIES,
    DOCKER_READ_ONLY,
    DOCKER_NO_ENTRY,
    DOCKER_ADMIN,
    DOCKER_UNCONFINED_USER,
    DOCKER_COVERED,
)
"""The rows in containers that are tested."""
ROWS = (*MACHINE_ROWS, *CONTAINER_ROWS)
"""All of them, as ``python -m tests.rows`` knows them by name."""
