"""Abstract sockets and signals stay in a step, where the kernel has Landlock's scopes: Linux 6.12."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from ocibuild.executor import Connection, Process
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.landlock import scope
from tests.support.calls import add_perl, call, probing
from tests.support.lab import LONELY, Lab, in_child, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from pathlib import Path

whoever = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])
# prints 0 or the errno of a connection to an abstract name
CONNECT = 'socket(S, 1, 1, 0); print connect(S, pack("S x a*", 1, $ARGV[0])) ? 0 : $! + 0'
LISTEN = """
$| = 1;
socket(L, 1, 1, 0); bind(L, pack("S x a*", 1, $ARGV[0])) or die $!; listen(L, 1);
"""
# a greeting over an abstract socket and how its sender ended; a child traced, signalled, and what it ended of
AMONG_THEMSELVES = (
    LISTEN
    + """
if (!($pid = fork)) { socket(S, 1, 1, 0); connect(S, pack("S x a*", 1, $ARGV[0])) or die $!; print S "hello\\n"; exit }
accept(A, L); print scalar <A>;
waitpid $pid, 0; print "$?\\n";
if (!($pid = fork)) { sleep 9; exit }
print syscall($ARGV[1], 16, $pid, 0, 0), "\n"; waitpid $pid, 0; syscall($ARGV[1], 17, $pid, 0, 0);
print kill(15, $pid), "\\n"; waitpid $pid, 0; print $? & 127, "\\n";
"""
)


def _has_scopes() -> bool:
    try:
        return syscalls.landlock_abi() >= 6
    except OSError:
        return False


def _perl(made: Lab, script: str, *words: str, **settings: object) -> str:
    stack = [*made.base, made.snapshot(add_perl)]
    ended = made.run(probing([])[0], "-e", script, *words, stack=stack, **settings)
    assert not ended.err
    return ended.out


@needs_root
@needs_busybox
@whoever
def test_abstract_socket_of_the_machine_is_out_of_reach(uid: int | None, tmp_path: Path) -> None:
    name = f"ocibuild-canary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as canary:
        canary.bind(f"\0{name}")
        canary.listen(9)

        def work(made: Lab) -> tuple[str, str, str]:
            return (
                _perl(made, CONNECT, name),
                _perl(made, CONNECT, name, insecure=True),
                _perl(made, CONNECT, name, connection=Connection.NONE),
            )

        seen = in_lab(tmp_path, work, uid=uid)
    # without a network of the machine's there is no such name at all
    assert seen == (str(errno.EPERM if _has_scopes() else 0), "0", str(errno.ECONNREFUSED))


class _ListeningError(Exception):
    """The step listens: there is no more to wait for."""


@needs_root
@needs_busybox
@whoever
def test_abstract_socket_of_another_step_is_out_of_reach(uid: int | None, tmp_path: Path) -> None:
    name = f"ocibuild-step-{os.getpid()}"

    def work(made: Lab) -> list[str]:
        seen = []

        def listening(*_: object) -> None:
            seen.append(_perl(made, CONNECT, name))
            raise _ListeningError

        args = (probing([])[0], "-e", LISTEN + 'print "listening\n"; sleep', name)
        stack = [*made.base, made.snapshot(add_perl)]
        with (
            made.store.snapshots.begin() as active,
            made.snapshotter.running(stack, active) as root,
            pytest.raises(_ListeningError),
        ):
            made.executor.run(Process(args, env=()), root, active.scratch, output=listening)
        return seen

    assert in_lab(tmp_path, work, uid=uid) == [str(errno.EPERM if _has_scopes() else 0)]


@needs_root
@needs_busybox
@whoever
def test_processes_of_a_step_reach_each_other(uid: int | None, tmp_path: Path) -> None:
    name = f"ocibuild-own-{os.getpid()}"
    ptrace = str(call("ptrace")[0])
    seen = in_lab(tmp_path, lambda made: _perl(made, AMONG_THEMSELVES, name, ptrace), uid=uid)
    assert seen.split() == ["hello", "0", "0", "1", "15"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_kernel_without_landlock_is_left_as_it_is(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "landlock_abi", refused)
    monkeypatch.setattr(syscalls, "restrict_scope", lambda scopes: pytest.fail("restricted"))
    assert scope() is False


@pytest.mark.parametrize(("abi", "restricted"), [(1, []), (5, []), (6, [3]), (7, [3])])
def test_kernel_that_is_too_old_for_scopes_is_left_as_it_is(
    abi: int, restricted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(syscalls, "landlock_abi", lambda: abi)
    monkeypatch.setattr(syscalls, "restrict_scope", seen.append)
    assert scope() is bool(restricted)
    assert seen == restricted


@needs_root
def test_process_outside_gets_no_signal() -> None:
    """Steps have process IDs of their own besides: this is what holds where those cannot be had."""

    def work() -> int | None:
        outside = os.getppid()
        if not scope():
            return errno.EPERM
        try:
            os.kill(outside, 0)
        except OSError as error:
            return error.errno
        return None

    assert in_child(work) == errno.EPERM
