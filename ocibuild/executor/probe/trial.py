"""Doing something in a child process, so that nothing of this one changes, hangs or is harmed by it."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ocibuild.errors import OcibuildError
from ocibuild.sandbox import syscalls
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 5.0
"""How long a trial may take; each is done in milliseconds where nothing is wrong."""
_ANSWER_LIMIT = 1 << 16


class Trial(NamedTuple):
    """Whether something worked, and what was seen; ``remedy`` is what an error of ours says to do, where it was one."""

    passed: bool
    seen: str
    remedy: str = ""


class Refused(Exception):
    """What was tried did not work; its text says what was seen."""


def attempt(work: Callable[[], str], *, seconds: float = SECONDS) -> Trial:
    """Do ``work`` in a child, which with all that it has started is gone afterwards.

    ``work`` returns what was seen, or raises Refused, OSError or an error of ours.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(read)
        _work_and_exit(work, write)
    os.close(write)
    try:
        answer = _answer(read, seconds)
    finally:
        os.close(read)
        status = _end(child)
    if answer is None:
        return Trial(passed=False, seen=f"no answer within {seconds:g} seconds")
    return Trial(*json.loads(answer)) if answer else Trial(passed=False, seen=_death(status))


def _work_and_exit(work: Callable[[], str], write: int) -> NoReturn:
    try:
        os.setsid()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(write, json.dumps(_done(work)).encode())
    finally:
        os._exit(0)


def _done(work: Callable[[], str]) -> Trial:
    try:
        return Trial(passed=True, seen=work())
    except OcibuildError as error:
        return Trial(passed=False, seen=error.message, remedy=error.remedy or "")
    except Refused as error:
        return Trial(passed=False, seen=str(error))
    except OSError as error:
        return Trial(passed=False, seen=error.strerror or str(error))
    except Exception as error:  # noqa: BLE001  (whatever happens in the child is evidence)
        return Trial(passed=False, seen=f"a fault of ocibuild's own, please report it: {error!r}")


def _answer(read: int, seconds: float) -> bytes | None:
    """Return what the child wrote, nothing where it died before, and None where it did not in time."""
    poll = select.poll()
    poll.register(read, select.POLLIN)
    # one write is one read: others may have the pipe open, so that its end need not come
    return os.read(read, _ANSWER_LIMIT) if poll.poll(seconds * 1000) else None


def _end(child: int) -> int:
    """End the child's whole process group, and return the child's own status."""
    for kill in (os.killpg, os.kill):  # it may not yet lead a group
        with suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _death(status: int) -> str:
    return f"the process was killed: {signal.strsignal(-status)}" if status < 0 else "the process ended without a word"
