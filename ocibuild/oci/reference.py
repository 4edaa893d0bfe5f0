"""References: what a user types to name an image, in docker's grammar and with docker's defaults."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

from ocibuild.errors import InvalidDigest, InvalidReference
from ocibuild.oci.digest import Digest
from ocibuild.values import dataclass

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library"
_LONGEST_PATH = 255
_LONGEST_DOMAIN = 255  # of a DNS name
_LONGEST = 1024  # more than domain, path, tag and digest together can have


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository in a registry, with the tag or the digest (or both) of a manifest there.

    ``domain`` is the registry as users write it, with its port where it has one (``docker.io``, ``[::1]:5000``);
    where both a digest and a tag are given, the digest says which manifest is meant.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that a user means: ``alpine`` is ``docker.io/library/alpine:latest``.

        One with a digest and no tag gets no tag. Raises InvalidReference.
        """
        if not text or len(text) > _LONGEST:
            raise InvalidReference("an image reference has 1 to 1024 characters", remedy=f"this one has {len(text)}")
        if _identifier().fullmatch(text):
            raise InvalidReference(f"{text!r}: 64 hexadecimal digits are an image ID, not a name")
        named, at, digest = text.partition("@")
        name, tag = _split_tag(named)
        domain, path = _split_domain(name)
        _check_path(path, name, text)
        _check_domain(domain, text)
        if tag is not None:
            _check_tag(tag, text)
        elif not at:
            tag = DEFAULT_TAG
        return cls(domain, path, tag, _digest(digest, text) if at else None)

    @property
    def repository(self) -> str:
        """The reference without tag and digest: ``docker.io/library/alpine``."""
        return f"{self.domain}/{self.path}"

    def with_tag(self, tag: str) -> Reference:
        """Return the reference of ``tag`` in the same repository, without a digest; raises InvalidReference."""
        _check_tag(tag, tag)
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        """Return this reference pinned to ``digest``; a tag stays."""
        return replace(self, digest=digest)

    def familiar(self) -> str:
        """Return the short form that docker shows: ``alpine:latest``; ``parse`` takes it back, its digest included."""
        return self.familiar_name() + self._suffix()

    def familiar_name(self) -> str:
        """Return the repository as docker shows it: as short as it can be without meaning another one."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        first, _, rest = self.path.partition("/")
        short = rest if first == _OFFICIAL and rest and "/" not in rest else self.path
        means_the_same = not _identifier().fullmatch(short) and _split_domain(short) == (self.domain, self.path)
        return short if means_the_same else self.repository

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")


def _split_tag(named: str) -> tuple[str, str | None]:
    """Split ``name:tag`` at its last colon; one before a slash belongs to a port."""
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        return named, None
    return name, tag


def _split_domain(name: str) -> tuple[str, str]:
    """Split a name into registry and path, with docker's defaults.

    The first component is a registry where it could not be part of a path: it has a dot, a colon or an upper-case
    letter, or is ``localhost``.
    """
    first, slash, rest = name.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        first, rest = DEFAULT_DOMAIN, name
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"{_OFFICIAL}/{rest}"
    return first, rest


def _check_path(path: str, name: str, text: str) -> None:
    if len(path) > _LONGEST_PATH:
        raise InvalidReference(f"the repository name has {len(path)} characters; {_LONGEST_PATH} are allowed")
    if _path().fullmatch(path):
        return
    if _path().fullmatch(path.lower()):
        raise InvalidReference(f"{text!r}: a repository name must be lower case", remedy=f"try {name.lower()!r}")
    raise InvalidReference(
        f"{text!r} is not an image reference: {_broken_rule(path, text)}",
        remedy="one looks like alpine:3.20 or registry.example:5000/team/app@sha256:…",
    )


def _broken_rule(path: str, text: str) -> str:
    if "://" in text:
        return "it has no scheme"
    if len(text.split()) != 1:
        return "it has spaces"
    broken = next((part for part in path.split("/") if not _path().fullmatch(part)), path)
    if not broken:
        return "a part between slashes is empty"
    return f"{broken!r} may have a-z and 0-9, and between them '.', '_', '__' and dashes"


def _check_domain(domain: str, text: str) -> None:
    if len(domain) > _LONGEST_DOMAIN or not _domain().fullmatch(domain):
        raise InvalidReference(f"{text!r}: {domain!r} is not the name of a registry")


def _check_tag(tag: str, text: str) -> None:
    if not _tag().fullmatch(tag):
        raise InvalidReference(
            f"{text!r}: {tag!r} is not a tag",
            remedy="a tag has 1 to 128 letters, digits, '_', '.' and '-', and begins with none of the last two",
        )


def _digest(digest: str, text: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidDigest as error:
        raise InvalidReference(f"{text!r}: {error.message}", remedy=error.remedy) from error


@functools.cache
def _path() -> re.Pattern[str]:
    """As distribution-spec, "Pulling manifests" has it: ``path ::= component ("/" component)*``."""
    component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    return re.compile(rf"{component}(?:/{component})*")


@functools.cache
def _domain() -> re.Pattern[str]:
    """As docker has it: ``domain ::= (DNS name | IPv4 address | "[" IPv6 address "]") [":" port]``."""
    component = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    return re.compile(rf"(?:{component}(?:\.{component})*|\[[A-Fa-f0-9:]+\])(?::[0-9]{{1,5}})?")


@functools.cache
def _tag() -> re.Pattern[str]:
    return re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@functools.cache
def _identifier() -> re.Pattern[str]:
    return re.compile(r"[0-9a-f]{64}")
