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
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ocibuild.errors import CannotStart, OcibuildError, SandboxError
from ocibuild.sandbox import mounts, syscalls
from ocibuild.sandbox.furnishing import confine, furnish, place
from ocibuild.sandbox.pasta import Pasta, await_network, offer_network
from ocibuild.sandbox.privileges import drop_capabilities, take_ids, take_ids_and_keep_capabilities, take_real_ids
from ocibuild.sandbox.program import execute, explain, find_command
from ocibuild.sandbox.terminal import take_terminal
from ocibuild.sandbox.ulimits import take_ulimits
from ocibuild.sandbox.users import User, find_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.sandbox.mounts import Mount, RootTree

_ACCOUNT_FILE_LIMIT = 4 << 20


class StepSpec(NamedTuple):
    """What a step's process is: its root, what is mounted there, and how it runs.

    ``mount_point`` is a directory of the machine over which the root is mounted, in the step's own mount namespace.
    ``links`` are symbolic links (target, path) made after the mounts, and before ``own_mounts``, which the step asks
    for: those are attached in their order, where the image's symbolic links lead. ``extra_groups`` is False where the
    kernel forbids setgroups(2). ``insecure`` leaves every capability, and hides and freezes nothing. ``own_network``
    has loopback alone, unless ``pasta`` connects it. ``ulimits`` are name, soft and hard limit. With ``terminal`` the
    process's streams are a terminal of its own.
    """

    root: RootTree
    mount_point: str
    mounts: list[Mount]
    links: list[tuple[str, str]]
    args: list[str]
    env: list[str]
    user: str
    working_dir: str
    hostname: str
    own_network: bool = False
    pasta: Pasta | None = None
    extra_groups: bool = True
    own_mounts: Sequence[Mount] = ()
    insecure: bool = False
    ulimits: Sequence[tuple[str, int, int]] = ()
    terminal: bool = False

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
        members["pasta"] = Pasta(*members["pasta"]) if members["pasta"] else None
        for key in ("mounts", "own_mounts"):
            members[key] = [mounts.load(value) for value in members[key]]
        return cls(**members)

    @property
    def namespaces(self) -> int:
        """The namespaces the process is cloned into."""
        flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
        return flags | (syscalls.CLONE_NEWNET if self.own_network else 0)


def become(spec: StepSpec, standard: list[int], channel: socket.socket, link: socket.socket | None) -> NoReturn:
    """Become the process of ``spec`` with ``standard`` as its streams; tell ``channel`` what went wrong, if it does.

    ``link`` leads to what connects the network, where anything does.
    """
    try:
        _try_to_become(spec, standard, channel, link)
    except OSError as error:
        status = 127 if error.errno == errno.ENOENT else 126
        _report(channel, {"error": explain(error), "remedy": None, "status": status})
    except CannotStart as error:
        _report(channel, {"error": error.message, "remedy": error.remedy, "status": error.exit_status})
    except OcibuildError as error:
        _report(channel, {"error": error.message, "remedy": error.remedy})
    except BaseException as error:  # noqa: BLE001  (a forked child must never return into its parent's code)
        _report(channel, {"error": f"the process cannot be started: {error!r}", "remedy": None})
    finally:
        os._exit(127)


def _try_to_become(spec: StepSpec, standard: list[int], channel: socket.socket, link: socket.socket | None) -> None:
    os.umask(0o022)
    _take_streams(standard)
    if link is not None:
        offer_network(link)
    syscalls.join_new_session_keyring()
    opened = [(mount.open(), mount.target) for mount in spec.mounts]
    own = [(mount.open(), mount) for mount in spec.own_mounts]
    _change_root(spec)
    # while there is no /proc or /dev that the image's files could lead to
    user = _find_user(spec.user)
    created = furnish(opened, spec.links)
    if spec.terminal:
        console = take_terminal(channel, json.dumps({"terminal": True}).encode(), uid=user.uid)
        furnish([(console, "/dev/console")], [])
    if not spec.insecure:
        confine()
    for fd, mount in own:
        created += place(fd, mount)
    if link is not None:
        await_network(link)
    _report(channel, {"created": created})
    take_real_ids(user, extra_groups=spec.extra_groups)
    command = find_command(spec.args, spec.env, home=user.home, working_dir=spec.working_dir)
    take_ulimits(spec.ulimits)
    if spec.insecure:
        take_ids_and_keep_capabilities(user)
    else:
        drop_capabilities()
        take_ids(user)
    _reset_signals()
    execute(command)


def _report(channel: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # the builder may have given the step up
        channel.send(json.dumps(message).encode())


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


def _reset_signals() -> None:
    """Undo what we, and whoever started us, ignore."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
