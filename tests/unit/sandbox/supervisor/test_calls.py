"""Whatever a process passes to a system call, its supervisor answers, or has the kernel answer, and goes on."""

from __future__ import annotations

import ctypes
import os
import random
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from ocibuild.owner_records import OVERRIDE_STAT
from ocibuild.sandbox.seccomp.numbers import ABIS
from ocibuild.sandbox.supervisor.calls import names_of
from ocibuild.sandbox.supervisor.handover import Arrival, submit
from ocibuild.sandbox.supervisor.views import SameRoot
from ocibuild.sandbox.syscalls import PR_SET_NO_NEW_PRIVS, prctl
from ocibuild.sandbox.users import User
from tests.support.lab import LONELY, in_child, needs_root, open_way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.sandbox.keeper import Attended

pytestmark = [needs_root]

_NATIVE = ABIS[os.uname().machine][0]
_TIME_TOO_LONG = (ctypes.c_int64 * 4)(0, 0, 1 << 62, 1 << 62)
_APART = 1024
_CONTENTS = (
    *(b"f\0", b"link\0", b"folder\0", b"folder/x\0", b"\0", b"security.capability\0", b"/proc/self/x\0"),
    bytes(_TIME_TOO_LONG),
)
_NUMBERS = (
    *(0, 1, 2, 3, 0o644, 0o100644, 0o20644, 0x100, 0x1000, os.O_CREAT | 0x80000000),
    *(1 << bit for bit in range(0, 64, 3)),
    *((1 << bit) - 1 for bit in (31, 32, 63, 64)),
    -100 & (1 << 64) - 1,
)
_LINKS_OWNER = (6_000_000_000 + (5 << 2)) * 10**9


def _call(name: str, *values: int) -> int:
    """Make a system call with whole registers as its arguments; return its result, or the negative error."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    number = _NATIVE.number(name)
    assert number is not None
    result: int = libc.syscall(ctypes.c_long(number), *(ctypes.c_uint64(value) for value in values))
    return -ctypes.get_errno() if result == -1 else result


def _address(content: bytes | ctypes.Array[ctypes.c_int64]) -> int:
    return ctypes.cast(content, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def _attend_until(ended: int, connection: socket.socket, spared: int | None) -> None:
    """Be the supervisor of what hands over its listener, until that has ended."""
    attended: dict[int, Attended] = {}
    poll = select.poll()

    def attend(one: Attended) -> None:
        attended[one.fileno()] = one
        poll.register(one.fileno(), select.POLLIN)

    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    attend(Arrival(connection, proc, lambda: SameRoot(proc), attend, spared=spared))
    poll.register(ended, select.POLLIN)
    while True:
        for fd, event in poll.poll():
            if fd == ended:
                return
            if not event & select.POLLIN or not attended[fd].attend():
                poll.unregister(fd)


def _supervised(folder: Path, work: Callable[[], None], *, spared: bool = False) -> int:
    """Do ``work`` in a supervised process of user 1000, in a folder of its own; return its exit status."""
    folder.chmod(0o777)
    open_way(folder)

    def inside() -> int:
        os.chdir(folder)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if child == 0:
            try:
                prctl(PR_SET_NO_NEW_PRIVS, 1)
                assert submit(theirs, User(1000, 1000, [], "/"), capabilities=True)
                work()
                os._exit(0)
            finally:
                os._exit(1)
        theirs.close()
        ended = os.pidfd_open(child)
        try:
            _attend_until(ended, ours, child if spared else None)
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(ended, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return in_child(inside, uid=LONELY)


def test_a_record_of_an_id_that_cannot_be_is_none(tmp_path: Path) -> None:
    def work() -> None:
        fd = os.open("f", os.O_CREAT | os.O_RDWR)
        os.setxattr(fd, OVERRIDE_STAT, b"9999999999:4294967296:0644:file")
        assert os.stat("f").st_uid == 0

    assert _supervised(tmp_path, work) == 0


def test_flags_with_the_highest_bit_are_refused_by_the_kernel_or_ignored(tmp_path: Path) -> None:
    def work() -> None:
        fd = _call("openat", -100 & 0xFFFFFFFF, _address(b"new"), 0x80000000 | os.O_CREAT | os.O_WRONLY, 0o644)
        assert fd > 2
        attribute = (_address(b"new"), _address(b"security.capability"), _address(b"value"), 5)
        assert _call("setxattr", *attribute, 0x80000000) < 0

    assert _supervised(tmp_path, work) == 0


def test_times_that_no_clock_shows_are_refused(tmp_path: Path) -> None:
    def work() -> None:
        os.symlink("nowhere", "link")
        os.utime("link", ns=(_LINKS_OWNER, 0), follow_symlinks=False)
        assert _call("utimensat", -100 & 0xFFFFFFFF, _address(b"link"), _address(_TIME_TOO_LONG), 0x100) < 0

    assert _supervised(tmp_path, work) == 0


def test_arguments_at_random_are_answered(tmp_path: Path) -> None:
    def work() -> None:
        os.symlink("nowhere", "link")
        os.mkdir("folder")
        memory = ctypes.create_string_buffer(1 << 18)  # of all that is written to an address, nothing is longer
        addresses = [ctypes.addressof(memory) + number * _APART for number in range(len(_CONTENTS))]
        values = [*_NUMBERS, *addresses]
        chance = random.Random(1)
        names = sorted({name for (arch, _), name in names_of(os.uname().machine).items() if arch == _NATIVE.audit_arch})
        for _ in range(10_000):
            for address, content in zip(addresses, _CONTENTS, strict=True):
                ctypes.memmove(address, content, len(content))
            _call(chance.choice(names), *chance.choices(values, k=6))

    assert _supervised(tmp_path, work) == 0


def test_calls_of_a_spared_process_are_the_kernels_and_those_of_its_children_are_not(tmp_path: Path) -> None:
    def work() -> None:
        assert os.getuid() == LONELY
        child = os.fork()
        if child == 0:
            os._exit(os.getuid() != 1000)
        assert os.waitpid(child, 0)[1] == 0

    assert _supervised(tmp_path, work, spared=True) == 0
