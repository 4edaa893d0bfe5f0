"""The ports of EXPOSE."""

from __future__ import annotations

import re

from ocibuild.errors import DockerfileError

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_RANGE = re.compile(r"\+?(\d{1,5})(?:-\+?(\d{1,5}))?", re.ASCII)
_MAX_PORT = 65_535


def parse_ports(specification: str) -> tuple[str, ...]:
    """Return ``port/protocol`` for each port of ``[[ip:]host:]port[-port][/protocol]``, in order.

    The address and the host's port are checked and have no effect: they belong to a running container.
    Raises DockerfileError.
    """
    *host, container = specification.rsplit(":", 2)
    ports, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not ports:
        raise DockerfileError(f"no port specified: {specification!r}")
    if protocol not in _PROTOCOLS:
        raise DockerfileError(f"invalid protocol {protocol!r} in {specification!r}", remedy="use tcp, udp or sctp")
    first, last = _range(ports, specification)
    if host:
        _check_host(host, last - first, specification)
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))


def _range(text: str, specification: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= _MAX_PORT:
        raise DockerfileError(f"invalid port {text!r} in {specification!r}", remedy="write EXPOSE 80, 80/udp or 80-90")
    return first, last


def _check_host(host: list[str], width: int, specification: str) -> None:
    import ipaddress

    *addresses, port = host
    if port:
        first, last = _range(port, specification)
        if width and last - first != width:
            raise DockerfileError(f"port ranges of different lengths in {specification!r}")
    for address in filter(None, addresses):
        try:
            ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise DockerfileError(f"invalid IP address {address!r} in {specification!r}") from None
