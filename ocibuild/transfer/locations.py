"""Where images are copied from and to, as a user writes it: ``TRANSPORT:PLACE``, as skopeo has them."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from ocibuild.errors import InvalidDigest, InvalidReference, UsageError
from ocibuild.oci import Digest, Reference
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSED: Final = {
    "docker-daemon": "save the image with 'docker save', and copy it from docker-archive:FILE",
    "containers-storage": "save the image with 'podman save', and copy it from docker-archive:FILE or oci-archive:FILE",
    "ostree": None,
    "sif": None,
    "tarball": None,
    "atomic": None,
}


@dataclass(frozen=True, slots=True)
class RegistryLocation:
    """``docker://REF``."""

    reference: Reference

    def __str__(self) -> str:
        return f"docker://{self.reference}"


@dataclass(frozen=True, slots=True)
class LayoutLocation:
    """``oci:DIR``, or for an ``archive`` ``oci-archive:FILE``, with ``:TAG``, ``@DIGEST`` or neither."""

    path: str
    tag: str | None = None
    digest: Digest | None = None
    archive: bool = False

    def __str__(self) -> str:
        image = f":{self.tag}" if self.tag else f"@{self.digest}" if self.digest else ""
        return f"{'oci-archive' if self.archive else 'oci'}:{self.path}{image}"


@dataclass(frozen=True, slots=True)
class DockerArchiveLocation:
    """``docker-archive:FILE``, with ``:REF``, or with ``:@NUMBER``, the image's place in the archive, from 0."""

    path: str
    reference: Reference | None = None
    number: int | None = None

    def __str__(self) -> str:
        image = f":{self.reference.familiar()}" if self.reference else ""
        return f"docker-archive:{self.path}{image if self.number is None else f':@{self.number}'}"


@dataclass(frozen=True, slots=True)
class FolderLocation:
    """``dir:DIR``."""

    path: str

    def __str__(self) -> str:
        return f"dir:{self.path}"


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """``store:REF``."""

    reference: Reference

    def __str__(self) -> str:
        return f"store:{self.reference.familiar()}"


Location: TypeAlias = RegistryLocation | LayoutLocation | DockerArchiveLocation | FolderLocation | StoreLocation


def parse_location(text: str) -> Location:
    """Return the location that ``text`` is; raises UsageError."""
    transport, colon, place = text.partition(":")
    parse = _TRANSPORTS.get(transport) if colon else None
    if parse is None:
        raise _unknown(text, transport if colon else "")
    try:
        return parse(place)
    except (InvalidReference, InvalidDigest, UsageError) as error:
        raise UsageError(f"{text!r:.1200}: {error.message}", remedy=error.remedy) from error


def has_transport(text: str) -> bool:
    """Tell whether ``text`` begins as a location does."""
    transport, colon, _ = text.partition(":")
    return bool(colon) and transport in _TRANSPORTS


def _unknown(text: str, transport: str) -> UsageError:
    if transport in _REFUSED:
        return UsageError(f"{text!r:.160}: the transport {transport}: is not supported", remedy=_REFUSED[transport])
    what = f"{transport!r:.80} is not a transport" if transport else "it does not begin with a transport"
    return UsageError(
        f"{text!r:.160}: {what}",
        remedy="known are docker://REF, oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:DIR and store:REF",
    )


def _registry(place: str) -> RegistryLocation:
    if not place.startswith("//"):
        raise UsageError("two slashes are missing", remedy=f"write docker://{place.lstrip('/')}")
    return RegistryLocation(Reference.parse(place[2:]))


def _layout(place: str, *, archive: bool = False) -> LayoutLocation:
    if found := re.fullmatch(r"(.*)@(sha(?:256|512):.*)", place, re.DOTALL):
        if ":" in found[1]:
            raise UsageError("a tag and a digest", remedy="give one of them")
        return LayoutLocation(_path(found[1]), digest=Digest.parse(found[2]), archive=archive)
    path, colon, tag = place.partition(":")
    if colon and not _layout_tag().fullmatch(tag):
        raise UsageError(f"{tag!r} is not a tag of a layout", remedy="one looks like 1.0 or registry.example/app:1.0")
    return LayoutLocation(_path(path), tag or None, archive=archive)


def _docker_archive(place: str) -> DockerArchiveLocation:
    path, colon, image = place.partition(":")
    if not colon:
        return DockerArchiveLocation(_path(path))
    if not image.startswith("@"):
        return DockerArchiveLocation(_path(path), Reference.parse(image))
    if not re.fullmatch(r"@[0-9]{1,4}", image):
        raise UsageError(f"{image!r} is not the number of an image", remedy="the first one is @0")
    return DockerArchiveLocation(_path(path), number=int(image[1:]))


def _path(path: str) -> str:
    if not path or "\0" in path:
        raise UsageError("it names no path")
    return path


@functools.cache
def _layout_tag() -> re.Pattern[str]:
    """As image-spec, annotations.md has ``org.opencontainers.image.ref.name``."""
    component = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
    return re.compile(rf"(?=.{{1,512}}$){component}(?:/{component})*")


_TRANSPORTS: Final[dict[str, Callable[[str], Location]]] = {
    "docker": _registry,
    "oci": _layout,
    "oci-archive": lambda place: _layout(place, archive=True),
    "docker-archive": _docker_archive,
    "dir": lambda place: FolderLocation(_path(place)),
    "store": lambda place: StoreLocation(Reference.parse(place)),
}
