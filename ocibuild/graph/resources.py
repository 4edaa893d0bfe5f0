"""What a process is given beside its tree: names of hosts, shared memory, and limits; as docker writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import UsageError
from ocibuild.graph.sizes import parse_size
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST_GATEWAY = "host-gateway"
UNLIMITED = -1
_MOST = (1 << 63) - 1
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
    *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)


class ExtraHost(NamedTuple):
    """A name in /etc/hosts; ``address`` is an IP address, or HOST_GATEWAY for the machine itself."""

    name: str
    address: str


class Ulimit(NamedTuple):
    """A limit of setrlimit(2), by the name that docker has for it; ``soft`` and ``hard`` may be UNLIMITED."""

    name: str
    soft: int
    hard: int


def parse_extra_hosts(values: Iterable[str]) -> tuple[ExtraHost, ...]:
    """Return what ``--add-host`` options say, in their order; raise UsageError."""
    return tuple(map(_extra_host, values))


def _extra_host(text: str) -> ExtraHost:
    """HOST=IP or HOST:IP; an IPv6 address may stand in brackets."""
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not _is_name(name):
        raise UsageError(f"--add-host {text}: not HOST:IP", remedy="write it like db:192.0.2.7 or db=2001:db8::7")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != HOST_GATEWAY and not _is_address(address):
        raise UsageError(f"--add-host {text}: {address!r} is no IP address", remedy=f"give one, or {HOST_GATEWAY}")
    return ExtraHost(name, address)


def _is_name(text: str) -> bool:
    return bool(text) and not set(text) & set(":#") and text.isprintable() and " " not in text


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone names an interface of one machine


def parse_shm_size(text: str | None) -> int | None:
    """Return what ``--shm-size`` says in bytes, None for the usual size, which docker means by 0 too."""
    if text is None:
        return None
    size = parse_size(text)
    if size is None:
        raise UsageError(f"--shm-size {text}: no size", remedy="write it like 64m or 1g")
    return size or None


def parse_ulimits(values: Iterable[str]) -> tuple[Ulimit, ...]:
    """Return what ``--ulimit`` options say, one for each name, sorted: the last one counts; raise UsageError."""
    found = {limit.name: limit for limit in map(_ulimit, values)}
    return tuple(found[name] for name in sorted(found))


def _ulimit(text: str) -> Ulimit:
    """NAME=SOFT[:HARD]."""
    name, separator, limits = text.partition("=")
    if not separator:
        raise UsageError(f"--ulimit {text}: not NAME=SOFT[:HARD]", remedy="write it like nofile=1024:4096")
    if name not in _ULIMITS:
        raise UsageError(f"--ulimit {text}: there is no limit {name!r}", remedy=f"there are {', '.join(_ULIMITS)}")
    first, colon, second = limits.partition(":")
    soft = _limit(first, text)
    hard = _limit(second, text) if colon else soft
    if hard != UNLIMITED and not 0 <= soft <= hard:
        raise UsageError(f"--ulimit {text}: the soft limit is above the hard one", remedy="swap them")
    return Ulimit(name, soft, hard)


def _limit(text: str, option: str) -> int:
    if text in ("-1", "unlimited"):
        return UNLIMITED
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= _MOST):
        raise UsageError(f"--ulimit {option}: {text!r} is no limit", remedy="give a number, or -1 for none")
    return int(text)
