"""``run --volume`` and ``--mount``: what a container sees of the machine."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError, UsageError
from ocibuild.graph.csvfields import csv_fields
from ocibuild.sandbox import Bind, Tmpfs

if TYPE_CHECKING:
    from ocibuild.sandbox import Mount

_OPTIONS = frozenset({"ro", "rw", "z", "Z"})
_NAMES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_KEYS = frozenset({"type", "source", "target", "readonly"})


def parse_volume(text: str) -> Bind:
    """Return the mount of ``PATH:TARGET[:ro]``; a folder that is not there is made, as docker does.

    Raises UsageError.
    """
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not target:
        raise UsageError(f"--volume {text}: volumes are not supported", remedy="give PATH:TARGET of a folder of yours")
    if not source.startswith(("/", "./", "../", "~")) and source not in (".", ".."):
        remedy = "give a path that begins with / or ."
        raise UsageError(f"--volume {text}: named volumes are not supported", remedy=remedy)
    chosen = set(filter(None, options.split(",")))
    if unknown := sorted(chosen - _OPTIONS):
        raise UsageError(f"--volume {text}: the option {unknown[0]!r} is not supported", remedy="there are ro and rw")
    path = os.path.abspath(os.path.expanduser(source))
    if not os.path.lexists(path):
        os.makedirs(path)
    return Bind(path, _target(target, f"--volume {text}"), read_only="ro" in chosen)


def parse_mount(text: str) -> Mount:
    """Return the mount of ``type=bind,source=PATH,target=TARGET[,readonly]`` or ``type=tmpfs,target=TARGET``.

    Raises UsageError.
    """
    where = f"--mount {text}"
    try:
        pairs = [field.partition("=")[::2] for field in csv_fields(text)]
    except DockerfileError as error:
        raise UsageError(f"{where}: {error.message}", remedy=error.remedy) from error
    members = {_NAMES.get(key, key): value for key, value in pairs}
    if unknown := sorted(members.keys() - _KEYS):
        raise UsageError(f"{where}: {unknown[0]} is not supported", remedy="there are type, source, target, readonly")
    target = _target(members.get("target", ""), where)
    read_only = "readonly" in members and members["readonly"] in ("", "true", "1")
    match members.get("type", "volume"):
        case "bind":
            source = os.path.abspath(members.get("source", ""))
            if not members.get("source") or not os.path.exists(source):
                raise UsageError(f"{where}: there is no {members.get('source') or 'source'}")
            return Bind(source, target, read_only=read_only)
        case "tmpfs":
            return Tmpfs(target, read_only=read_only)
        case kind:
            raise UsageError(f"{where}: type={kind} is not supported", remedy="there are bind and tmpfs")


def _target(text: str, where: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"{where}: the target must be an absolute path")
    return posixpath.normpath(text)
