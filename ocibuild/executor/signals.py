"""Signals to this process, given to the one that it runs."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox import Running

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
PASSED_ON = frozenset(
    {
        *_ENDING,
        *(signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGPWR),
        *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    }
)
"""Signals that mean nothing to this process itself, or its end."""


@contextmanager
def forwarded_to(running: Running, *, has_user: bool = True, has_terminal: bool = False) -> Iterator[None]:
    """Give the signals in ``PASSED_ON`` to what runs. For the main thread.

    Where somebody sits before it (``has_user``), the second that asks it to end kills it: a first process does not hear
    what it has no handler for. Where it ``has_terminal`` that tells it of a new size.
    """
    asked: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if number in _ENDING:
            asked.append(number)  # first: the next signal may come while this one is handled
        running.kill() if has_user and len(asked) > 1 else running.signal(number)

    passed_on = PASSED_ON - {signal.SIGWINCH} if has_terminal else PASSED_ON
    before = {number: signal.signal(number, forward) for number in passed_on}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse_signal(text: str) -> int:
    """Return the number of a signal: of ``TERM``, ``SIGTERM``, ``15``, ``RTMIN+3``; raise UsageError."""
    name = text.upper().removeprefix("SIG")
    known = {one.name.removeprefix("SIG"): int(one) for one in signal.Signals}
    real_time = re.fullmatch(r"RTMIN\+([0-9]{1,2})|RTMAX-([0-9]{1,2})", name)
    if real_time:
        number = signal.SIGRTMIN + int(real_time[1]) if real_time[1] else signal.SIGRTMAX - int(real_time[2])
    else:
        number = int(name) if re.fullmatch("[0-9]{1,2}", name) else known.get(name, 0)
    if number == signal.SIGKILL or number in PASSED_ON:
        return number
    if number in signal.valid_signals():
        raise UsageError(f"signal {text}: not supported", remedy="there are KILL, TERM, INT, HUP, QUIT, USR1, USR2, …")
    raise UsageError(f"signal {text}: there is no such signal", remedy="give a name, as TERM, or a number")
