"""Platforms: what an image runs on, spelt as containerd spells them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocibuild.errors import InvalidPlatform
from ocibuild.oci import documents
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

# fmt: off
_OPERATING_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "netbsd", "openbsd",
    "plan9", "solaris", "wasip1", "windows", "zos",
})
_ARCHITECTURES = frozenset({
    "386", "amd64", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc",
    "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm",
})
# fmt: on
# Other names, with the variant that they imply; containerd's and those of uname(2).
_ALIASES: dict[str, tuple[str, str | None]] = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "aarch64_be": ("arm64be", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "i386": ("386", None),
    "i486": ("386", None),
    "i586": ("386", None),
    "i686": ("386", None),
    "loongarch64": ("loong64", None),
}
# The variant that an architecture has where none is named, and which is left unnamed in turn.
_IMPLIED_VARIANT = {"amd64": "v1", "arm64": "v8"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image is made for; see image-spec, image-index.md, "platform".

    A platform read from a document is kept as it was spelt there; one that a user typed (``parse``) is normalised.
    """

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform that a user means by ``os/architecture[/variant]``, or by the first or second alone.

        What is not named is taken from this machine. Raises InvalidPlatform.
        """
        parts = text.split("/")
        if not 1 <= len(parts) <= len(("os", "architecture", "variant")) or not all(map(_is_word, parts)):
            raise InvalidPlatform(f"{text!r:.160} is not a platform", remedy="a platform looks like linux/arm64")
        if len(parts) == 1:
            return _from_one_word(parts[0])
        return cls(parts[0], parts[1], "".join(parts[2:])).normalized()

    @classmethod
    def host(cls) -> Platform:
        """Return the platform of this machine."""
        system = os.uname()
        return cls(system.sysname, system.machine).normalized()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Platform:
        """Return the platform of a descriptor or of an image config; raises InvalidDocument."""
        return cls(
            os=documents.text(document, "os"),
            architecture=documents.text(document, "architecture"),
            variant=documents.maybe_text(document, "variant") or None,
            os_version=documents.maybe_text(document, "os.version") or None,
            os_features=documents.strings(document, "os.features"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification, without empty ones."""
        required = {"architecture": self.architecture, "os": self.os}
        return required | documents.compact(
            [
                ("os.version", self.os_version),
                ("os.features", list(self.os_features)),
                ("variant", self.variant),
            ]
        )

    def normalized(self) -> Platform:
        """Return its one spelling, containerd's: ``aarch64`` and ``arm64/v8`` are ``arm64``, ``arm`` is ``arm/v7``."""
        system = self.os.lower()
        architecture, variant = _normalize(self.architecture.lower(), (self.variant or "").lower())
        return replace(self, os="darwin" if system == "macos" else system, architecture=architecture, variant=variant)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _normalize(architecture: str, variant: str) -> tuple[str, str | None]:
    if architecture in _ALIASES:
        architecture, implied = _ALIASES[architecture]
        variant = implied or variant
    if variant.isdecimal():
        variant = f"v{variant}"
    if architecture == "386" or variant == _IMPLIED_VARIANT.get(architecture):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return architecture, variant or None


def _from_one_word(word: str) -> Platform:
    host = Platform.host()
    named = Platform(word, word).normalized()
    if named.os in _OPERATING_SYSTEMS:
        return replace(host, os=named.os)
    if named.architecture in _ARCHITECTURES:
        return replace(named, os=host.os)
    raise InvalidPlatform(
        f"{word!r:.160} is neither an operating system nor an architecture that is known",
        remedy="a platform looks like linux/arm64",
    )


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) is not None
