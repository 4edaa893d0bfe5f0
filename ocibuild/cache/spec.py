"""What ``--cache-from`` and ``--cache-to`` ask for."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

from ocibuild.errors import UsageError
from ocibuild.oci import Reference
from ocibuild.values import dataclass

_LONGEST_TAG = 63
"""A tag has 128 characters at most, of which a key takes 64, and a hyphen joins the two."""
_ELSEWHERE: Final = ("gha", "s3", "azblob")
"""Kinds that docker has and we have not."""
# what these say in docker is what we do anyway
_ALWAYS: Final = {
    "oci-mediatypes": "true",
    "image-manifest": "true",
    "compression": "gzip",
    "force-compression": "false",
    "ignore-error": "true",
}


class Form(StrEnum):
    """Where a cache is kept: in a repository, in a folder, or in the image itself."""

    REGISTRY = "registry"
    LOCAL = "local"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class CacheFrom:
    """A cache to look into: the repository and tag ``reference``, or the ``folder`` of a layout."""

    reference: Reference | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class CacheTo:
    """A cache to write to: ``reference`` or ``folder``, neither for one in the image itself.

    ``everything`` is docker's ``mode=max``: the results of all steps, not only of those whose layers the image has.
    """

    reference: Reference | None = None
    folder: str | None = None
    everything: bool = False

    @property
    def is_inline(self) -> bool:
        """Whether the image itself is the cache."""
        return self.reference is None and self.folder is None


def parse_cache_from(text: str) -> CacheFrom:
    """Return what ``--cache-from`` says; a value without ``=`` is a reference. Raises UsageError, InvalidReference."""
    flag = f"--cache-from {text}"
    members = _members(text, flag)
    form = _form(members, flag)
    match form:
        case Form.REGISTRY:
            spec = CacheFrom(reference=_reference(members, flag))
        case Form.LOCAL:
            spec = CacheFrom(folder=_folder(members, "src", flag))
        case Form.INLINE:
            raise UsageError(
                f"{flag}: such a cache is in an image", remedy="name the image: --cache-from type=registry,ref=IMAGE"
            )
    _refuse_rest(members, flag)
    return spec


def parse_cache_to(text: str) -> CacheTo:
    """Return what ``--cache-to`` says; raises UsageError, InvalidReference."""
    flag = f"--cache-to {text}"
    members = _members(text, flag)
    form = _form(members, flag)
    mode = members.pop("mode", "min")
    if mode not in ("min", "max"):
        raise UsageError(f"{flag}: mode={mode} is neither min nor max")
    everything = mode == "max"
    match form:
        case Form.REGISTRY:
            spec = CacheTo(reference=_reference(members, flag), everything=everything)
        case Form.LOCAL:
            spec = CacheTo(folder=_folder(members, "dest", flag), everything=everything)
        case Form.INLINE if everything:
            raise UsageError(
                f"{flag}: an image has only its own layers, which is mode=min", remedy="use type=registry for mode=max"
            )
        case Form.INLINE:
            spec = CacheTo()
    for key, value in _ALWAYS.items():
        if members.pop(key, value).lower() != value:
            raise UsageError(f"{flag}: only {key}={value} is supported")
    _refuse_rest(members, flag)
    return spec


def _members(text: str, flag: str) -> dict[str, str]:
    if "=" not in text and text:
        return {"type": "registry", "ref": text}
    members: dict[str, str] = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator:
            raise UsageError(f"{flag}: {part!r} is not KEY=VALUE")
        members[key.strip().lower()] = value.strip()
    return members


def _form(members: dict[str, str], flag: str) -> Form:
    name = members.pop("type", "")
    if not name:
        raise UsageError(f"{flag}: type= is missing", remedy=f"there are {', '.join(Form)}")
    try:
        return Form(name)
    except ValueError:
        problem = f"type={name} is not supported" if name in _ELSEWHERE else f"unknown type {name!r}"
        raise UsageError(f"{flag}: {problem}", remedy=f"there are {', '.join(Form)}") from None


def _reference(members: dict[str, str], flag: str) -> Reference:
    text = members.pop("ref", "")
    if not text:
        raise UsageError(f"{flag}: ref= is missing", remedy="name a repository: ref=HOST/NAME[:TAG]")
    reference = Reference.parse(text)
    if reference.digest is not None or reference.tag is None:
        raise UsageError(f"{flag}: a digest cannot name a cache", remedy="give HOST/NAME or HOST/NAME:TAG")
    if len(reference.tag) > _LONGEST_TAG:
        raise UsageError(f"{flag}: the tag of a cache has {_LONGEST_TAG} characters at most")
    return reference


def _folder(members: dict[str, str], key: str, flag: str) -> str:
    folder = members.pop(key, "")
    if not folder:
        raise UsageError(f"{flag}: {key}= is missing", remedy=f"name a folder: {key}=FOLDER")
    return os.path.abspath(folder)


def _refuse_rest(members: dict[str, str], flag: str) -> None:
    if members:
        raise UsageError(f"{flag}: {min(members)}= is not supported")
