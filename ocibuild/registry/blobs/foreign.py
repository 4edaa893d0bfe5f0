"""Layers that may not be pushed to a registry (non-distributable, "foreign"): they come from where they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import NotFound, RegistryError
from ocibuild.registry.http.messages import Request
from ocibuild.registry.http.transport import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ocibuild.oci import Descriptor
    from ocibuild.registry.blobs.download import Download
    from ocibuild.registry.http.connections import Stream
    from ocibuild.registry.http.transport import Transport


def foreign_pieces(
    transport: Transport, download: Download, descriptor: Descriptor, subject: str, *, plain_http: bool
) -> Iterator[bytes]:
    """Yield a foreign layer from the first of its URLs that has it, without any credentials.

    Only a registry that is plain HTTP itself may name URLs that are. Raises NotFound where no URL gives it.
    """
    for url in descriptor.urls:
        try:
            _check_scheme(url, plain_http=plain_http)
            yield from download.pieces(_opener(transport, url, subject), transport.retries())
        except RegistryError:
            continue
        return
    raise NotFound(
        f"{subject}: the foreign layer {descriptor.digest} is neither in the registry nor at its own URLs",
        remedy="ask its owner for a registry that has it",
    )


def _opener(transport: Transport, url: str, subject: str) -> Callable[[Mapping[str, str]], Stream]:
    return lambda headers: transport.open(Request("GET", url, subject, headers))


def _check_scheme(url: str, *, plain_http: bool) -> None:
    scheme = origin_of(url)[0]
    if scheme != "https" and not (scheme == "http" and plain_http):
        raise RegistryError(f"{url[:200]!r}: a foreign layer comes over HTTPS only")
