"""What ``--output`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from ocibuild.errors import UsageError
from ocibuild.oci import Reference


class Kind(StrEnum):
    """The kinds of output that there are."""

    IMAGE = "image"
    OCI = "oci"
    REGISTRY = "registry"


_LATER = ("docker", "tar", "local")  # known to docker, and refused by name
_MEMBERS = {Kind.IMAGE: {"name", "push"}, Kind.OCI: {"dest", "name"}, Kind.REGISTRY: {"name"}}


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One ``--output``: ``names`` are tags beside those of ``--tag``; ``dest`` is a file, ``-`` for stdout."""

    kind: Kind
    dest: str = ""
    names: tuple[Reference, ...] = ()
    push: bool = False


def parse_output(text: str) -> OutputSpec:
    """Return what ``--output`` says: ``type=KIND,KEY=VALUE…``; raise UsageError for what is not supported."""
    members = _members(text)
    kind = _kind(members.pop("type", ""), text)
    unknown = sorted(set(members) - _MEMBERS[kind])
    if unknown:
        raise UsageError(f"--output {text}: {unknown[0]}= is not supported with type={kind}")
    spec = OutputSpec(
        kind,
        dest=members.get("dest", ""),
        names=tuple(Reference.parse(name) for name in members.get("name", "").split(";") if name),
        push=_flag(members.get("push", "false"), text) or kind is Kind.REGISTRY,
    )
    match kind:
        case Kind.OCI if not spec.dest:
            raise UsageError(f"--output {text}: dest= is missing", remedy="add dest=FILE, or dest=- for stdout")
        case Kind.OCI | Kind.IMAGE | Kind.REGISTRY:
            return spec
        case _:
            assert_never(kind)


def _members(text: str) -> dict[str, str]:
    members: dict[str, str] = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator:
            raise UsageError(
                f"--output {text}: type=local is not supported yet", remedy="use type=oci,dest=FILE, or --push"
            )
        members[key.strip().lower()] = value.strip()
    return members


def _kind(name: str, text: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        known = ", ".join(Kind)
        problem = f"type={name} is not supported yet" if name in _LATER else f"unknown type {name!r}"
        raise UsageError(f"--output {text}: {problem}", remedy=f"there are {known}") from None


def _flag(value: str, text: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise UsageError(f"--output {text}: push={value} is neither true nor false")
    return value.lower() in ("true", "1")
