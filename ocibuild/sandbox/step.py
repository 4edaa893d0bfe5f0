"""One step's process: how a freshly forked child becomes what is asked for.

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
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import OcibuildError, SandboxError
from ocibuild.sandbox import mounts, syscalls
from ocibuild.sandbox.accounts import user_of_image
from ocibuild.sandbox.channel import explained, tell
from ocibuild.sandbox.connector import await_network, offer_network
from ocibuild.sandbox.furnishing import furnish, place, stage
from ocibuild.sandbox.init import fork_below_init
from ocibuild.sandbox.landlock import scope
from ocibuild.sandbox.privileges import (
    drop_capabilities,
    last_capability,
    take_ids,
    take_ids_and_keep_capabilities,
    take_real_ids,
)
from ocibuild.sandbox.program import change_directory, execute, explain, find_command
from ocibuild.sandbox.terminal import give_terminal, take_terminal
from ocibuild.sandbox.ulimits import take_ulimits
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.sandbox.mounts import RootTree
    from ocibuild.sandbox.request import Request
    from ocibuild.sandbox.seccomp import Rule
    from ocibuild.sandbox.specs import StepSpec
    from ocibuild.sandbox.users import User


def prepare() -> None:
    """Make what is the same for every step, once: for the process that forks them."""
    from ocibuild.sandbox.seccomp import profile

    with suppress(SandboxError):  # each step says so
        profile.program()


class Beginning(NamedTuple):
    """What a step's process can have before it is known what it is to run; it leads a session already.

    ``furniture`` are what every step finds, such as /dev with all that is in it, and where it goes.
    """

    furniture: list[tuple[int, str]]
    last_capability: int

    @classmethod
    def make(cls, spec: StepSpec) -> Beginning:
        """Begin, for a step of which ``system`` is that of this one; raise OSError."""
        lead_session()
        last = last_capability()
        return cls(stage(spec.system, spec.links, confined=spec.confined), last)


def become(spec: StepSpec, request: Request, beginning: Beginning | None = None) -> NoReturn:
    """Become the process of ``spec``; tell the channel of the request what went wrong, if anything does."""
    begin(lambda: _try_to_become(spec, request, beginning or Beginning.make(spec)), request.channel)


def begin(become_it: Callable[[], None], channel: socket.socket) -> NoReturn:
    """Do what ends in another program, in a process forked for it; tell ``channel`` what went wrong, if it does."""
    try:
        become_it()
    except OSError as error:
        status = 127 if error.errno == errno.ENOENT else 126
        tell(channel, {"error": explain(error), "remedy": None, "status": status})
    except OcibuildError as error:
        tell(channel, explained(error))
    except BaseException as error:  # noqa: BLE001  (a forked child must never return into its parent's code)
        tell(channel, {"error": f"the process cannot be started: {error!r}", "remedy": None})
    finally:
        os._exit(127)


def _try_to_become(spec: StepSpec, request: Request, beginning: Beginning) -> None:
    channel, outside = request.channel, request.outside
    take_streams(request.standard)
    if outside.link is not None:
        offer_network(outside.link)
    if spec.terminal and spec.bare:
        take_terminal(channel, spec.size)  # of the machine's, as there is no /dev/pts to come
    opened = [(mount.open(), mount.target) for mount in spec.mounts if not mounts.is_same_for_all(mount)]
    own = [(mount.open(), mount) for mount in spec.own_mounts]
    if spec.bare:
        _change_root_alone(spec.root)
    else:
        _change_root(spec)
    # while there is no /proc or /dev that the image's files could lead to
    user = user_of_image(spec.user, open_waiting_for_nothing)
    created = furnish([*beginning.furniture, *opened])
    if spec.terminal:
        if not spec.bare:
            console = syscalls.open_tree(take_terminal(channel), recursive=False)
            furnish([(console, "/dev/console")])
        give_terminal(user.uid)
    for fd, mount in own:
        created += place(fd, mount)
    if spec.read_only:
        _make_read_only(spec.working_dir)
    if outside.link is not None:
        await_network(outside.link)
    tell_that_root_is_made(channel, created)
    if outside.users is not None:
        _enter_user_namespace(outside.users, insecure=spec.insecure)
    if spec.init:
        fork_below_init(terminal=spec.terminal)
    if outside.supervisor is None:
        take_real_ids(user, extra_groups=spec.extra_groups)
    emulator = spec.foreign and spec.foreign.emulator
    command = find_command(
        spec.args,
        spec.env,
        home=user.home,
        working_dir=spec.working_dir,
        emulator=emulator,
        makes_directory=spec.makes_directory,
    )
    take_ulimits(spec.ulimits, numbered=outside.supervisor is not None)
    # as long as there is CAP_SYS_ADMIN; all that comes after is allowed
    restrict_calls(spec, channel, outside.supervisor, user)
    if spec.insecure:
        take_ids_and_keep_capabilities(user)
    else:
        drop_capabilities(beginning.last_capability)
        take_ids(user)
    reset_signals()
    execute(command, foreign=spec.foreign)


def tell_that_root_is_made(channel: socket.socket, created: list[str]) -> None:
    """Tell it, with an end of a pipe whose other end is closed when this process becomes its program or ends."""
    reading, _ = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # the builder may have given the step up
        socket.send_fds(channel, [json.dumps({"created": created}).encode()], [reading])
    os.close(reading)


def further_rules(spec: StepSpec) -> tuple[Rule, ...]:
    """Return the rules for system calls that a supervised step has beside those of its supervisor."""
    from ocibuild.sandbox.seccomp import profile

    return profile.rules(os.uname().machine) if spec.confined else ()


def restrict_calls(spec: StepSpec, channel: socket.socket, supervisor: socket.socket | None, user: User) -> None:
    """Have the system calls of a step filtered, and those about owners answered where that is asked for."""
    from ocibuild.sandbox.seccomp import profile

    if spec.confined and not spec.lets_in:
        scope()
    if supervisor is not None:
        from ocibuild.sandbox.supervisor.handover import submit

        if not submit(supervisor, user, further_rules(spec)):
            tell(channel, {"pretended": True})
    elif spec.confined:
        profile.enforce()


def lead_session() -> None:
    """Have the usual umask, in a session and with a keyring of our own."""
    os.umask(0o022)
    os.setsid()
    syscalls.join_new_session_keyring()


def take_streams(standard: list[int]) -> None:
    """Have these as standard streams."""
    for number, fd in enumerate(standard):
        os.dup2(fd, number, inheritable=True)


def _change_root(spec: StepSpec) -> None:
    """Make the root, move into it, and leave nothing of the machine's behind."""
    _set_hostname(spec.hostname)
    if spec.own_network:
        _raise_loopback()
    root = _open_root(spec.root)
    syscalls.move_mount(root, spec.root.mount_point)
    os.close(root)
    os.chdir(spec.root.mount_point)
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".", syscalls.MNT_DETACH)  # before any name of the image is followed: it may lead to /..
    os.chdir("/")


def _make_read_only(working_dir: str) -> None:
    """Let nothing be changed in the root but what is mounted there, once the working directory is there too."""
    change_directory(working_dir)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.restrict_mount(root, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    os.close(root)


def _change_root_alone(root: RootTree) -> None:
    """Move into a root that is a folder, where nothing can be mounted."""
    assert isinstance(root, mounts.Folder)
    try:
        os.chroot(root.path)
    except PermissionError as error:
        raise SandboxError(
            "this machine refuses a change of root: chroot(2): Operation not permitted",
            remedy="give the container CAP_SYS_CHROOT, or install proot",
        ) from error
    os.chdir("/")


def _open_root(tree: RootTree) -> int:
    try:
        return tree.open()
    except OSError as error:
        raise SandboxError(
            f"this machine refuses to mount the root file system: {error.strerror}",
            remedy="choose a store on another file system with --root; `ocibuild doctor` tells more",
        ) from error


def _enter_user_namespace(fd: int, *, insecure: bool) -> None:
    """Go to a user namespace below ours, once all that needs more than it gives is done."""
    syscalls.setns(fd, syscalls.CLONE_NEWUSER)
    if insecure:
        syscalls.unshare(syscalls.CLONE_NEWNS)  # so that the step may mount


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


def open_waiting_for_nothing(path: str) -> int:
    """Open a file of the root, whatever its name leads to, but through no link of /proc to what this process has."""
    return syscalls.open_without_magic(path, os.O_RDONLY | os.O_NONBLOCK)


def reset_signals() -> None:
    """Undo what we, and whoever started us, ignore."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
