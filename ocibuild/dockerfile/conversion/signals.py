"""The signals that STOPSIGNAL takes: those of Linux, by name or number."""

from __future__ import annotations

import re

from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError

# fmt: off
_NAMES = frozenset({
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    *(f"RTMIN+{n}" for n in range(1, 16)), *(f"RTMAX-{n}" for n in range(1, 15)),
})
# fmt: on
_NUMBER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def check_signal(signal: str) -> None:
    """Raise DockerfileError where ``signal`` is neither a number nor the name of a signal, with or without SIG."""
    name = signal.upper().removeprefix("SIG")
    known = int(signal) != 0 if _NUMBER.fullmatch(signal) else name in _NAMES
    if not known:
        remedy = did_you_mean(name, sorted(_NAMES), prefix="SIG")
        raise DockerfileError(f"invalid signal: {signal}", remedy=remedy)
