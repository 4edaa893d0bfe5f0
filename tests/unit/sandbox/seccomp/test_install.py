from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ocibuild.sandbox import syscalls
from ocibuild.sandbox.seccomp import NOTIFY, Action, Rule, compile_rules, equal_int, install, refuse
from tests.support.lab import LONELY, in_child, needs_root

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = os.uname().machine
PR_SET_NO_NEW_PRIVS = 38
# struct seccomp_notif and seccomp_notif_resp of linux/seccomp.h
RECV, SEND = 0xC0502100, 0xC0182101


def _confined(*rules: Rule) -> None:
    syscalls.prctl(PR_SET_NO_NEW_PRIVS, 1)
    install(compile_rules(rules, machine=MACHINE))


def _failure(action: Action) -> int | None:
    _confined(Rule(("mkdir", "mkdirat"), action))
    try:
        os.mkdir("/proc/none")
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize(("number", "seen"), [(errno.EPERM, errno.EPERM), (errno.EROFS, errno.EROFS), (0, None)])
def test_refused_call_fails_with_its_errno_and_is_not_made(number: int, seen: int | None) -> None:
    assert in_child(lambda: _failure(refuse(number))) == seen


def test_argument_is_seen(tmp_path: Path) -> None:
    def work() -> list[int]:
        _confined(Rule(("fchmod",), refuse(errno.EXDEV), when=(equal_int(1, 0o777),)))
        with (tmp_path / "file").open("w") as file:
            os.fchmod(file.fileno(), 0o700)
            try:
                os.fchmod(file.fileno(), 0o777)
            except OSError as error:
                return [error.errno or 0, os.fstat(file.fileno()).st_mode & 0o777]
        return []

    assert in_child(work) == [errno.EXDEV, 0o700]


@needs_root
def test_ordinary_user_must_give_up_new_privileges_first() -> None:
    def work() -> int | None:
        try:
            install(compile_rules([], machine=MACHINE))
        except PermissionError as error:
            return error.errno
        return None

    assert in_child(work, uid=LONELY) == errno.EACCES


def test_kernel_that_does_not_know_the_flags_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = syscalls.set_filter, []

    def old(program: bytes, flags: int) -> int:
        seen.append(flags)
        if flags & ~8:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(program, flags)

    def work() -> tuple[list[int], str]:
        syscalls.prctl(PR_SET_NO_NEW_PRIVS, 1)
        monkeypatch.setattr(syscalls, "set_filter", old)
        install(compile_rules([], machine=MACHINE))
        listener = install(compile_rules([], machine=MACHINE), listener=True)
        return seen, os.readlink(f"/proc/self/fd/{listener}")

    assert in_child(work) == ([4, 0, 8 | 32 | 4, 8 | 4, 8], "anon_inode:seccomp notify")


def test_listener_is_told_and_answers() -> None:
    def work() -> tuple[int, bool]:
        syscalls.prctl(PR_SET_NO_NEW_PRIVS, 1)
        listener = install(compile_rules([Rule(("rmdir", "unlinkat"), NOTIFY)], machine=MACHINE), listener=True)
        assert listener is not None
        child = os.fork()
        if child == 0:
            with suppress(OSError):
                os.rmdir("/proc")
                os._exit(7)
            os._exit(1)
        notification = bytearray(80)
        fcntl.ioctl(listener, RECV, notification)
        (identity,) = struct.unpack_from("=Q", notification)
        fcntl.ioctl(listener, SEND, struct.pack("=QqiI", identity, 0, 0, 0))
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), os.get_inheritable(listener)

    assert in_child(work) == (7, False)
