"""When to ask again, and how long to wait before."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

RETRYABLE: Final = frozenset({408, 429, 500, 502, 503, 504})
"""The statuses that may be another one the next time."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient we are; times are in seconds.

    Pauses grow from ``first`` by ``factor`` up to ``longest``, each with up to a quarter more or less, so that many
    clients do not come back at once. What the registry asks for (``Retry-After``) counts instead, up to ``obeyed``;
    where it asks for more, we give up. No attempt begins after ``patience``, counted from the first one or the last
    progress.

    A server may take ``read_timeout`` for the next byte, ``answer_timeout`` for all headers of an answer, and sends its
    body with at least ``least_speed`` bytes a second, measured whenever we have waited ``slow_window`` for it.

    A blob of which ``range_least`` bytes are missing comes in several ranges where it is slower than ``range_speed``;
    every ``range_pause`` one connection more is tried.
    """

    attempts: int = 6
    first: float = 0.2
    factor: float = 2
    longest: float = 15
    obeyed: float = 60
    patience: float = 120
    connect_timeout: float = 10
    read_timeout: float = 30
    answer_timeout: float = 60
    slow_window: float = 20
    least_speed: int = 1 << 10
    range_least: int = 32 << 20
    range_speed: int = 64 << 20
    range_pause: float = 2

    def pause(self, attempt: int) -> float:
        """Return how long to wait after ``attempt`` (from 1), before chance is added."""
        return min(self.longest, self.first * self.factor ** (attempt - 1))


class Retries:
    """What is left of one operation's patience. ``sleep`` waits for some seconds, and may raise to end it all."""

    def __init__(self, policy: RetryPolicy, sleep: Callable[[float], None]) -> None:
        self._policy = policy
        self._sleep = sleep
        self.renew()

    def wait(self, retry_after: str | None = None) -> bool:
        """Pause before the next attempt and return True; False at once where there should be none.

        ``retry_after`` is the header as it came.
        """
        if self._attempt >= self._policy.attempts:
            return False
        asked = None if retry_after is None else parse_retry_after(retry_after, now=time.time())
        if asked is not None and asked > self._policy.obeyed:
            return False
        chance = random.uniform(0.75, 1.25)  # noqa: S311  (spreads clients, keeps no secret)
        pause = asked if asked is not None else self._policy.pause(self._attempt) * chance
        if time.monotonic() + pause > self._until:
            return False
        self._sleep(pause)
        self._attempt += 1
        return True

    def renew(self) -> None:
        """Forget the attempts so far, because there was progress."""
        self._attempt = 1
        self._until = time.monotonic() + self._policy.patience


def parse_retry_after(header: str, *, now: float) -> float | None:
    """Return how many seconds ``Retry-After`` asks for, None where it makes no sense.

    It is a number of seconds or a date (RFC 9110, section 10.2.3); ``now`` is in seconds since the epoch.
    """
    from email.utils import parsedate_to_datetime

    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
