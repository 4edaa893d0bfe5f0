"""Checks of namespaces and of what is mounted in them."""

from __future__ import annotations

import errno
import os
import signal
import socket

from ocibuild.errors import SandboxError
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import Refused, attempt
from ocibuild.executor.process import Process
from ocibuild.sandbox import FileSystem, Folder, IDs, Spawner, Tmpfs, enter, syscalls

_MISSING = "/no-such-program"


def check_user_namespace(place: Place) -> Check:
    """Unshare a user namespace, map this user to its root, and use the capabilities that this should give."""
    trial = attempt(_use_user_namespace)
    remedy = "" if trial.passed else remedies.for_user_namespace(place.surroundings, trial.seen)
    return Check("user-namespace", trial.passed, trial.seen, remedy)


def _use_user_namespace() -> str:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise Refused(f"one is made, but its {name} is refused: {error.strerror}") from error
    try:
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        socket.sethostname("probe")
    except OSError as error:
        raise Refused(f"one is made, but its root may do nothing: {error.strerror}") from error
    return f"made, with user {uid} as its root"


def check_mount(place: Place) -> Check:
    """Enter the namespaces that a build enters, and mount a file system in memory."""
    folder = place.new_folder("mount")
    trial = attempt(lambda: _mount(folder))
    remedy = "" if trial.passed else remedies.for_mount(place.surroundings, trial.seen)
    return Check("mount", trial.passed, trial.seen, remedy)


def _mount(folder: str) -> str:
    identity = enter()
    syscalls.move_mount(Tmpfs(folder).open(), folder)
    os.close(os.open(os.path.join(folder, "file"), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    kind = "a mount namespace, as root" if identity.ids is IDs.ALL else "a user and a mount namespace"
    return f"a tmpfs, in {kind}"


def check_proc(place: Place) -> Check:
    """Mount a new /proc in a PID namespace."""
    trial = attempt(_mount_proc)
    remedy = "" if trial.passed else remedies.for_proc(place.surroundings, trial.seen)
    return Check("proc", trial.passed, trial.seen, remedy)


def _mount_proc() -> str:
    enter()
    try:
        pid, _ = syscalls.clone(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS, exit_signal=signal.SIGCHLD)
    except OSError as error:
        raise Refused(f"a PID namespace is refused: {error.strerror}") from error
    if pid == 0:
        _mount_proc_and_exit()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise Refused(f"a new /proc is refused: {os.strerror(status) if status > 0 else signal.strsignal(-status)}")
    return "a new /proc, in a PID namespace"


def _mount_proc_and_exit() -> None:
    status = errno.EIO
    try:
        FileSystem("proc", "/proc").open()
        status = 0
    except OSError as error:
        status = error.errno or errno.EIO
    finally:
        os._exit(status)


def check_step(place: Place) -> Check:
    """Run a step in an empty tree: all is well where nothing is wrong but that its program is not there."""
    folder = place.new_folder("step")
    trial = attempt(lambda: _run_step(folder))
    remedy = "" if trial.passed else remedies.for_step(place.surroundings, trial.seen)
    return Check("step", trial.passed, trial.seen, remedy)


def _run_step(folder: str) -> str:
    identity = enter()
    tree, scratch = os.path.join(folder, "tree"), os.path.join(folder, "scratch")
    os.mkdir(tree)
    os.mkdir(scratch)
    process = Process(args=(_MISSING,), env=())
    spawner = Spawner.start()
    try:
        ChrootExecutor(spawner, identity).run(process, Folder(tree), scratch, output=lambda _stream, _text: None)
    except SandboxError as error:
        if not error.message.startswith(_MISSING):
            raise Refused(f"a step is refused: {error.message}") from error
    finally:
        spawner.close()
    return "a step's namespaces, mounts and capabilities"
