"""Proxies as the environment names them.

``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``; where there is one in lower case too, that one counts.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ocibuild.errors import ConfigError
from ocibuild.registry.configuration.config import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}


def proxy_for(scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy that leads to ``host`` (with its port, where it has one); None for none.

    Loopback is never behind a proxy. Raises ConfigError, which does not show the URL, for a proxy that is not HTTP.
    """
    found = _variable(f"{scheme}_proxy", environ) or _variable("all_proxy", environ)
    if not found or is_loopback(host) or _is_excepted(scheme, host, _variable("no_proxy", environ)):
        return None
    url = found if "://" in found else f"http://{found}"
    if not _is_web_address(url):
        raise ConfigError(
            f"{scheme.upper()}_PROXY: not the address of an HTTP proxy",
            remedy="give http://HOST:PORT",
        )
    return url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _variable(name: str, environ: Mapping[str, str]) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_excepted(scheme: str, host: str, exceptions: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or "", parts.port or _PORTS[scheme]
    except ValueError:
        return False
    return any(_matches(entry.strip().lower(), name, port) for entry in exceptions.split(","))


def _matches(entry: str, name: str, port: int) -> bool:
    """Tell whether one entry of NO_PROXY covers a host: ``*``, an address, a network, a domain; perhaps with a port."""
    if entry == "*":
        return True
    pattern, wanted = _split_port(entry)
    if not pattern or wanted not in (None, port):
        return False
    if address := _address(name):
        network = _network(pattern.strip("[]"))
        return network is not None and address in network
    if pattern.startswith((".", "*.")):
        return name.endswith(pattern.removeprefix("*"))
    return name == pattern or name.endswith(f".{pattern}")


def _split_port(entry: str) -> tuple[str, int | None]:
    pattern, colon, digits = entry.rpartition(":")
    is_ipv6 = ":" in pattern and not pattern.endswith("]")
    return (entry, None) if is_ipv6 or not colon or not digits.isdecimal() else (pattern, int(digits))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
