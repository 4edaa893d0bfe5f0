"""/etc/hosts and /etc/resolv.conf as a step finds them, and where the machine is in each kind of network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.executor.process import Connection
from ocibuild.graph import HOST_GATEWAY
from ocibuild.sandbox import PASTA_GATEWAY, PASTA_RESOLVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.graph import ExtraHost

_LIMIT = 1 << 20


def hosts_file(hostname: str, extra_hosts: Iterable[ExtraHost], connection: Connection) -> bytes:
    """Return what /etc/hosts holds; HOST_GATEWAY is the address at which the machine's own services answer."""
    lines = [f"127.0.0.1\tlocalhost {hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    machine = PASTA_GATEWAY if connection is Connection.PASTA else "127.0.0.1"
    lines += [f"{machine if host.address == HOST_GATEWAY else host.address}\t{host.name}" for host in extra_hosts]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def resolv_conf(connection: Connection, path: str = "/etc/resolv.conf") -> bytes:
    """Return what /etc/resolv.conf holds: the machine's, without what another network cannot reach; empty without one.

    Loopback is the step's own there. Where that leaves no resolver, pasta carries questions to the machine's.
    """
    own = _read(path)
    if connection is Connection.MACHINE:
        return own
    lines = own.splitlines(keepends=True)
    kept = [line for line in lines if not _is_loopback(_nameserver(line))]
    if connection is Connection.PASTA and len(kept) < len(lines) and not any(map(_nameserver, kept)):
        kept.append(f"nameserver {PASTA_RESOLVER}\n".encode())
    return b"".join(kept)


def asks_pasta(resolver_file: bytes) -> bool:
    """Tell whether names are resolved by pasta, going by what ``resolv_conf()`` returned."""
    return any(_nameserver(line) == PASTA_RESOLVER for line in resolver_file.splitlines())


def _nameserver(line: bytes) -> str:
    """Return the address that a line of resolv.conf(5) names, empty where it names none."""
    words = line.decode("utf-8", "replace").split()
    return words[1] if len(words) > 1 and words[0] == "nameserver" else ""


def _is_loopback(address: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT)
    except OSError:  # a machine need not have one
        return b""
