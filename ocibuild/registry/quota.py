"""What Docker Hub says of how many pulls are left: ``ratelimit-limit: 100;w=21600`` and ``ratelimit-remaining``."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HEADER = re.compile(r"([0-9]{1,9})(?:;w=([0-9]{1,9}))?")
_LOW = 0.1  # of what is allowed


class Quota:
    """Warns once of each host where few pulls are left; safe to use from threads."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._warned: set[str] = set()
        self._lock = threading.Lock()  # guards _warned

    def note(self, host: str, headers: Mapping[str, str]) -> None:
        """Read the headers of an answer about a manifest."""
        allowed, left = (_HEADER.match(headers.get(f"ratelimit-{name}", "")) for name in ("limit", "remaining"))
        if not allowed or not left or int(left[1]) > int(allowed[1]) * _LOW:
            return
        with self._lock:
            is_new = host not in self._warned
            self._warned.add(host)
        if is_new:
            window = f" in {int(allowed[2]) / 3600:g} hours" if allowed[2] else ""
            pulls = f"{int(left[1])} of {int(allowed[1])} pulls{window}"
            self._warn(f"{host}: {pulls} are left; `ocibuild login` allows more")
