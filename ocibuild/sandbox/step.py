"""One step's process: what is asked for, and how a freshly forked child becomes it.

The child runs in namespaces of its own, single-threaded, and never returns. Whatever it needs is imported before,
since after the change of root the machine's files are gone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ocibuild.errors import CannotStart, OcibuildError, SandboxError
from ocibuild.sandbox import mounts, syscalls
from ocibuild.sandbox.users import User, find_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.sandbox.mounts import Mount, Overlay

# Docker's default set: capabilities(7), by number
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}

# what docker hides and freezes: the machine's, not the step's
_HIDDEN = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_FROZEN = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_KEPT = sum(1 << number for number in _CAPABILITIES.values())

_ACCOUNT_FILE_LIMIT = 4 << 20
_FIRST_LINE = 256  # what the kernel reads of a script: BINPRM_BUF_SIZE
_INTERPRETERS = 6  # it gives up at the sixth script that is the interpreter of another


class StepSpec(NamedTuple):
    """What a step's process is: its root, what is mounted there, and how it runs.

    ``mount_point`` is a directory of the machine over which the root is mounted, in the step's own mount namespace.
    ``links`` are symbolic links (target, path) made after the mounts, and before ``own_mounts``, which the step asks
    for: those are attached in their order, where the image's symbolic links lead. ``extra_groups`` is False where the
    kernel forbids setgroups(2). ``insecure`` leaves every capability, and hides and freezes nothing.
    """

    root: Overlay
    mount_point: str
    mounts: list[Mount]
    links: list[tuple[str, str]]
    args: list[str]
    env: list[str]
    user: str
    working_dir: str
    hostname: str
    own_network: bool = False
    extra_groups: bool = True
    own_mounts: Sequence[Mount] = ()
    insecure: bool = False

    def to_json(self) -> bytes:
        """Return the spec as JSON for the spawner."""
        members = self._asdict()
        members["root"] = mounts.dump(self.root)
        for key in ("mounts", "own_mounts"):
            members[key] = [mounts.dump(mount) for mount in members[key]]
        return json.dumps(members).encode()

    @classmethod
    def from_json(cls, data: bytes) -> StepSpec:
        """Return the spec that ``to_json()`` wrote."""
        members: dict[str, Any] = json.loads(data)
        members["root"] = mounts.load(members["root"])
        for key in ("mounts", "own_mounts"):
            members[key] = [mounts.load(value) for value in members[key]]
        return cls(**members)

    @property
    def namespaces(self) -> int:
        """The namespaces the process is cloned into."""
        flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
        return flags | (syscalls.CLONE_NEWNET if self.own_network else 0)


# a program that is there, and cannot be run
_REMEDIES = {
    errno.EACCES: "make it executable, as COPY --chmod=755 does",
    errno.ENOEXEC: "it is for another processor, or a script without a line such as #!/bin/sh at its top",
}


class Command(NamedTuple):
    """A program found in the root, and what execve(2) needs to run it."""

    path: str
    args: list[str]
    env: dict[str, str]


def become(spec: StepSpec, standard: list[int], channel: socket.socket) -> NoReturn:
    """Become the process of ``spec`` with ``standard`` as its streams; tell ``channel`` what went wrong, if it does."""
    try:
        _try_to_become(spec, standard, channel)
    except OSError as error:
        status = 127 if error.errno == errno.ENOENT else 126
        _report(channel, {"error": _explain(error), "remedy": None, "status": status})
    except CannotStart as error:
        _report(channel, {"error": error.message, "remedy": error.remedy, "status": error.exit_status})
    except OcibuildError as error:
        _report(channel, {"error": error.message, "remedy": error.remedy})
    except BaseException as error:  # noqa: BLE001  (a forked child must never return into its parent's code)
        _report(channel, {"error": f"the process cannot be started: {error!r}", "remedy": None})
    finally:
        os._exit(127)


def _try_to_become(spec: StepSpec, standard: list[int], channel: socket.socket) -> None:
    os.umask(0o022)
    _take_streams(standard)
    syscalls.join_new_session_keyring()
    opened = [(mount.open(), mount.target) for mount in spec.mounts]
    own = [(mount.open(), mount) for mount in spec.own_mounts]
    _change_root(spec)
    # while there is no /proc or /dev that the image's files could lead to
    user = _find_user(spec.user)
    created = _furnish(opened, spec.links)
    if not spec.insecure:
        _confine()
    for fd, mount in own:
        created += _place(fd, mount)
    _report(channel, {"created": created})
    _take_real_ids(spec, user)
    command = _find_command(spec, user)
    if spec.insecure:
        _take_ids_and_keep_capabilities(user)
    else:
        _drop_capabilities()
        _take_ids(user)
    _reset_signals()
    _execute(command)


def _report(channel: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # the builder may have given the step up
        channel.send(json.dumps(message).encode())


def _explain(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _take_streams(standard: list[int]) -> None:
    os.setsid()
    for number, fd in enumerate(standard):
        os.dup2(fd, number, inheritable=True)


def _change_root(spec: StepSpec) -> None:
    """Make the root, move into it, and leave nothing of the machine's behind."""
    _set_hostname(spec.hostname)
    if spec.own_network:
        _raise_loopback()
    root = spec.root.open()
    syscalls.move_mount(root, spec.mount_point)
    os.close(root)
    os.chdir(spec.mount_point)
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _furnish(opened: list[tuple[int, str]], links: list[tuple[str, str]]) -> list[str]:
    """Attach mounts and make links; return the targets of files that had to be made.

    A directory that had to be made, such as /proc, stays in the tree, as with docker.
    """
    created: list[str] = []
    for fd, target in opened:
        stays = stat.S_ISDIR(os.fstat(fd).st_mode)
        made = _attach(fd, target)
        created += [] if stays else made
    for target, path in links:
        os.symlink(target, path)
    return created


def _confine() -> None:
    """Hide and freeze what is the machine's."""
    for path in _HIDDEN:
        mounts.hide(path)
    for path in _FROZEN:
        mounts.freeze(path)


def _place(fd: int, mount: Mount) -> list[str]:
    """Attach a mount that the step asks for, where the symbolic links at its target lead; return what was made.

    Raises SandboxError for a place in /proc, which we read ourselves and which confines the step.
    """
    path = os.path.realpath(mount.target)
    if path == "/" or f"{path}/".startswith("/proc/"):
        raise SandboxError(f"mount at {mount.target}: nothing can be mounted at {path}")
    try:
        if os.path.lexists(path) and os.path.isdir(path) != stat.S_ISDIR(os.fstat(fd).st_mode):
            kinds = ("a directory", "none") if os.path.isdir(path) else ("no directory", "one")
            raise SandboxError(f"mount at {mount.target}: the image has {kinds[0]} there, and the source is {kinds[1]}")
        if isinstance(mount, mounts.Tmpfs):
            mount.settle(fd, path)
        return _attach(fd, path)
    except OSError as error:
        raise SandboxError(f"mount at {mount.target}: {_explain(error)}") from error


def _set_hostname(name: str) -> None:
    try:
        socket.sethostname(name)
    except OSError as error:
        raise SandboxError(f"host name {name!r}: {error.strerror}", remedy="give one of 64 bytes at most") from error


def _raise_loopback() -> None:
    """Bring up ``lo``: SIOCSIFFLAGS with IFF_UP; see netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 1)
        fcntl.ioctl(control, 0x8914, request)


def _attach(fd: int, target: str) -> list[str]:
    """Attach a mount at ``target``, made where the image has nothing there; return what was made."""
    created: list[str] = []
    try:
        syscalls.move_mount(fd, target)
    except FileNotFoundError:
        created = _make_target(target, folder=stat.S_ISDIR(os.fstat(fd).st_mode))
        syscalls.move_mount(fd, target)
    finally:
        os.close(fd)
    return created


def _make_target(target: str, *, folder: bool) -> list[str]:
    path = os.path.realpath(target)
    missing = [path]
    while not os.path.lexists(parent := os.path.dirname(missing[-1])):
        missing.append(parent)
    for parent in reversed(missing[1:]):
        os.mkdir(parent, 0o755)
    if folder:
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    in_tree = os.stat(os.path.dirname(missing[-1])).st_dev == os.stat("/").st_dev
    return missing if in_tree else []


def _find_user(text: str) -> User:
    return find_user(text, _read_account_file("/etc/passwd"), _read_account_file("/etc/group"))


def _read_account_file(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""  # an image need not have one
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, _ACCOUNT_FILE_LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def _take_real_ids(spec: StepSpec, user: User) -> None:
    """Take the groups and the real IDs of the user, and keep the effective ones: access(2) asks for the user then."""
    with _explained(user):
        if spec.extra_groups:
            os.setgroups(user.groups)
        os.setresgid(user.gid, -1, -1)
        os.setresuid(user.uid, -1, -1)


def _find_command(spec: StepSpec, user: User) -> Command:
    """Go to the working directory, and find the program as a shell would, in the PATH of the step."""
    env = dict(entry.partition("=")[::2] for entry in spec.env)
    env.setdefault("HOME", user.home or "/")
    _change_directory(spec.working_dir)
    if not spec.args:
        raise SandboxError("there is no command to run")
    path = _search(spec.args[0], env.get("PATH", ""))
    _refuse_foreign(path)
    return Command(path, spec.args, env)


def _change_directory(path: str) -> None:
    """Go to ``path``; as with docker, it is made where it is missing, and stays."""
    try:
        if not os.path.lexists(path):
            os.makedirs(path, 0o755)
        fd = syscalls.open_without_magic(path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise SandboxError(f"working directory {path}: {error.strerror}") from error
    os.fchdir(fd)
    os.close(fd)


def _search(name: str, search_path: str) -> str:
    if "/" in name:
        return name
    for folder in search_path.split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise CannotStart(
        f"{name}: executable file not found in $PATH", exit_status=127, remedy="install it in an earlier step"
    )


def _refuse_foreign(path: str) -> None:
    """Refuse a program, or one that its first line names, that a link of /proc leads to.

    Such as /proc/self/exe: that is still our interpreter, a file of this machine, and whoever runs as it could write
    to it (CVE-2019-5736).
    """
    for _ in range(_INTERPRETERS):
        fd = syscalls.open_without_magic(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            first = os.read(fd, _FIRST_LINE)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(fd)
        if not first.startswith(b"#!"):
            return
        words = first[2:].partition(b"\n")[0].replace(b"\0", b" ").split()
        if not words:
            return
        path = os.fsdecode(words[0])


def _drop_capabilities() -> None:
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:  # as text it would look for its codec's module
        last = int(file.read())
    for number in range(last + 1):
        if not _KEPT & 1 << number:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    syscalls.limit_capabilities(_KEPT)


def _take_ids_and_keep_capabilities(user: User) -> None:
    """Become the user, whoever that is with every capability, as docker's insecure steps are."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    _take_ids(user)
    syscalls.inherit_capabilities()


def _take_ids(user: User) -> None:
    with _explained(user):
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)


@contextmanager
def _explained(user: User) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise SandboxError(
            f"user {user.uid}:{user.gid}: this machine gives the build no such ID",
            remedy="give the user a range in /etc/subuid and /etc/subgid; `ocibuild doctor` tells more",
        ) from error


def _reset_signals() -> None:
    """Undo what we, and whoever started us, ignore."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(command: Command) -> None:
    try:
        os.execve(command.path, command.args, command.env)
    except FileNotFoundError as error:  # it was there to be read
        raise CannotStart(f"{command.path}: its dynamic linker is not in the image", exit_status=127) from error
    except OSError as error:
        raise CannotStart(_explain(error), exit_status=126, remedy=_REMEDIES.get(error.errno or 0)) from error
    except ValueError as error:
        raise SandboxError(f"the command or its environment cannot be given to a process: {error}") from error
