"""What ``--output`` asks for."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import OcibuildError, UsageError
from ocibuild.oci import Reference
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def check_output(spec: OutputSpec, tags: Sequence[Reference]) -> None:
    """Raise OcibuildError for what could not be written once the image is built."""
    if spec.push and not (spec.names or tags):
        raise UsageError("an image without a name cannot be pushed", remedy="name it with --tag")
    if spec.dest:
        check_destination(spec.dest)


def check_destination(path: str) -> None:
    """Raise OcibuildError where a file cannot be made at ``path``; ``-`` is standard output."""
    if path == "-":
        return
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise OcibuildError(f"{path}: is a folder", remedy="name a file in it")
    if not os.path.isdir(folder):
        raise OcibuildError(f"{path}: there is no folder {folder}", remedy="make it first")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise OcibuildError(f"{path}: cannot be written", remedy="name another file")


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
