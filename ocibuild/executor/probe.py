"""What this machine allows, found out by doing it in a child process: the evidence behind ``ocibuild doctor``."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ocibuild.errors import SandboxError
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.process import Process
from ocibuild.sandbox import IDs, Overlay, Spawner, enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox import Identity

_UBUNTU = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_MISSING = "/no-such-program"
_MOST = "/proc/sys/user/max_user_namespaces"
_DEBIAN = "/proc/sys/kernel/unprivileged_userns_clone"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried: whether it worked, what was seen, and what to change where it did not."""

    name: str
    passed: bool
    evidence: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, and what they lead to; without an executor no RUN is possible."""

    checks: tuple[Check, ...]
    executor: str | None
    snapshotter: str | None
    ids: str | None


def diagnose(store_root: str) -> Diagnosis:
    """Try what a build needs, with mounts below ``store_root``, and return what was found."""
    checks = _in_child(lambda: _probe(store_root))
    works = {check.name for check in checks if check.passed} >= {"namespaces", "overlay", "spawner"}
    return Diagnosis(
        checks=tuple(checks),
        executor="chroot" if works else None,
        snapshotter="overlay" if works else None,
        ids=next((check.evidence for check in checks if check.name == "ids"), None),
    )


def _probe(store_root: str) -> list[Check]:
    try:
        identity = enter()
    except SandboxError as error:
        return [Check("namespaces", passed=False, evidence=error.message, remedy=_namespace_remedy())]
    kind = "a mount namespace, as root" if identity.ids is IDs.ALL else "a user and a mount namespace"
    os.makedirs(store_root, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store_root, prefix="probe-") as folder:
        return [
            Check("namespaces", passed=True, evidence=kind),
            _check_ids(identity.ids),
            _check_overlay(_overlay_in(folder, "mounted")),
            _check_spawner(identity, _overlay_in(folder, "run"), folder),
        ]


def _overlay_in(folder: str, name: str) -> Overlay:
    paths = [os.path.join(folder, name, part) for part in ("lower", "upper", "work", "mount-point")]
    for path in paths:
        os.makedirs(path)
    lower, upper, work, mount_point = paths
    return Overlay([lower], upper, work, mount_point)


def _check_ids(ids: IDs) -> Check:
    remedy = "add a line USER:100000:65536 to /etc/subuid and /etc/subgid, and install uidmap"
    return Check("ids", passed=ids is not IDs.ONE, evidence=ids.value, remedy="" if ids is not IDs.ONE else remedy)


def _check_overlay(overlay: Overlay) -> Check:
    try:
        os.close(overlay.open())
    except OSError as error:
        remedy = "use Linux 5.12 or newer, and a store that is not itself on overlayfs (--root)"
        return Check("overlay", passed=False, evidence=f"the mount is refused: {error.strerror}", remedy=remedy)
    return Check("overlay", passed=True, evidence="mounted with userxattr on the store's file system")


def _check_spawner(identity: Identity, overlay: Overlay, scratch: str) -> Check:
    """Run a step in an empty tree: all is well where nothing is wrong but that its program is not there."""
    process = Process(args=(_MISSING,), env=())
    try:
        spawner = Spawner.start()
    except OSError as error:
        evidence = f"a PID namespace is refused: {error.strerror}"
        return Check("spawner", passed=False, evidence=evidence, remedy="allow CLONE_NEWPID in the seccomp profile")
    try:
        ChrootExecutor(spawner, identity).run(process, overlay, scratch, output=lambda _stream, _text: None)
    except SandboxError as error:
        if not error.message.startswith(_MISSING):
            remedy = "in a container, start it with --security-opt systempaths=unconfined"
            return Check("spawner", passed=False, evidence=f"a step is refused: {error.message}", remedy=remedy)
    finally:
        spawner.close()
    return Check("spawner", passed=True, evidence="a step's namespaces and mounts")


def _namespace_remedy() -> str:
    if _reads(_MOST, "0"):
        return f"as root: echo 15000 > {_MOST}"
    if _reads(_UBUNTU, "1"):
        return f"as root: echo 0 > {_UBUNTU}, or run ocibuild as root"
    if _reads(_DEBIAN, "0"):
        return f"as root: echo 1 > {_DEBIAN}"
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    return "allow unshare(2) to this process, or run ocibuild as root"


def _reads(path: str, text: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == text
    except OSError:
        return False


def _in_child(probe: Callable[[], list[Check]]) -> list[Check]:
    """Run a probe in a child, which namespaces that are entered do not outlive."""
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(read)
        _report_and_exit(write, probe)
    os.close(write)
    with open(read, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(child, 0)
    rows: list[dict[str, Any]] = json.loads(text)
    return [Check(**row) for row in rows]


def _report_and_exit(write: int, probe: Callable[[], list[Check]]) -> None:
    try:
        checks = probe()
    except Exception as error:  # noqa: BLE001  (whatever happens in the child is evidence)
        checks = [Check("probe", passed=False, evidence=repr(error), remedy="report this as a bug")]
    try:
        with open(write, "w", encoding="utf-8") as file:
            json.dump([asdict(check) for check in checks], file)
    finally:
        os._exit(0)
