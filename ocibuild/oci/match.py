"""Which of several manifests is meant by a platform."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.oci import mediatypes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.oci.descriptor import Descriptor
    from ocibuild.oci.platform import Platform

_ATTESTATION = "vnd.docker.reference.type"
_UNKNOWN = "unknown"
_NEWEST_ARM64 = 8  # what no variant means
_OLDEST_ARM = 5
_ARM64_V9_MINORS_AHEAD = 5  # Armv9.x includes Armv8.(x+5)


def select(descriptors: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """Return the manifest that suits ``wanted`` best, None where none does.

    The order of preference is containerd's: the platform itself, then its older variants (arm/v7 takes v6, then v5;
    amd64/v3 takes v2, then v1; arm64 and arm64/v8 are the same), then what its processors also run (386 on amd64, arm
    on arm64). Of equals the first wins. Attestations are never taken. A manifest that does not name its platform is
    taken where nothing else suits and it is the only one of its kind: its config has the last word.
    """
    images = [descriptor for descriptor in descriptors if not is_attestation(descriptor)]
    offers = [(image, image.platform.normalized()) for image in images if image.platform]
    for acceptable in acceptable_platforms(wanted):
        for image, offered in offers:
            if _matches(offered, acceptable):
                return image
    unnamed = [descriptor for descriptor in images if _is_unnamed_image(descriptor)]
    return unnamed[0] if len(unnamed) == 1 else None


def acceptable_platforms(wanted: Platform) -> Iterator[Platform]:
    """Yield the platforms whose images run on ``wanted``, best first, each normalised."""
    wanted = wanted.normalized()
    yield wanted
    match wanted.architecture:
        case "amd64":
            for version in range(_version(wanted.variant, default=1) - 1, 0, -1):
                yield replace(wanted, variant=f"v{version}").normalized()
            yield replace(wanted, architecture="386", variant=None)
        case "arm":
            for version in range(_version(wanted.variant, default=0) - 1, _OLDEST_ARM - 1, -1):
                yield replace(wanted, variant=f"v{version}")
        case "arm64":
            yield from (replace(wanted, variant=variant).normalized() for variant in _older_arm64(wanted.variant))
            yield from acceptable_platforms(replace(wanted, architecture="arm", variant="v8"))


def is_attestation(descriptor: Descriptor) -> bool:
    """Tell whether this is a manifest about another one, as BuildKit puts them into an index."""
    platform = descriptor.platform
    unknown = platform is not None and platform.os == _UNKNOWN and platform.architecture == _UNKNOWN
    return unknown or _ATTESTATION in descriptor.annotations


def is_foreign(descriptor: Descriptor) -> bool:
    """Tell whether this layer comes from a place of its own, and may not be pushed to another.

    See image-spec, layer.md, "Non-Distributable Layers".
    """
    return descriptor.media_type in mediatypes.NONDISTRIBUTABLE and bool(descriptor.urls)


def _matches(offered: Platform, acceptable: Platform) -> bool:
    return (
        (offered.os, offered.architecture, offered.variant)
        == (acceptable.os, acceptable.architecture, acceptable.variant)
        and (not acceptable.os_version or offered.os_version in (None, acceptable.os_version))
        and set(offered.os_features) <= set(acceptable.os_features)
    )


def _is_unnamed_image(descriptor: Descriptor) -> bool:
    kind = descriptor.media_type
    is_image = mediatypes.is_manifest(kind) or mediatypes.is_index(kind)
    return is_image and descriptor.platform is None and descriptor.artifact_type is None


def _version(variant: str | None, *, default: int) -> int:
    found = re.fullmatch(r"v([0-9])", variant or "")
    return int(found[1]) if found else default


def _older_arm64(variant: str | None) -> Iterator[str]:
    """Yield the variants before ``variant``, newest first: v9.1, v9, v8.6, …, v8.1, v8."""
    found = re.fullmatch(r"v([89])(?:\.([0-9]))?", variant or f"v{_NEWEST_ARM64}")
    if not found:
        return
    major, minor = int(found[1]), int(found[2] or 0)
    if major > _NEWEST_ARM64:
        yield from _minors(major, minor - 1)
        minor += _ARM64_V9_MINORS_AHEAD + 1
    yield from _minors(_NEWEST_ARM64, minor - 1)


def _minors(major: int, newest: int) -> Iterator[str]:
    for minor in range(newest, -1, -1):
        yield f"v{major}.{minor}" if minor else f"v{major}"
