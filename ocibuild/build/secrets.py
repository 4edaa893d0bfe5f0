"""The secrets of a build: ``--secret id=ID[,src=FILE|,env=VAR]``, as docker buildx reads it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError, SourceError, UsageError
from ocibuild.graph.csvfields import csv_fields
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LIMIT = 500 << 10  # bytes, as in BuildKit


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """Where a secret comes from: the file ``path``, or the variable ``env``, which goes before it.

    With neither it is the variable of the name ``id`` where there is one, else the file of that name.
    """

    id: str
    path: str = ""
    env: str = ""


def parse_secret(text: str) -> SecretSpec:
    """Return the secret that a ``--secret`` option names; raise UsageError."""
    found: dict[str, str] = {}
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = {"source": "src"}.get(key.lower(), key.lower())
        if not equals:
            raise UsageError(f"--secret {text}: {field!r} is not KEY=VALUE")
        if key not in ("id", "src", "env", "type"):
            raise UsageError(f"--secret {text}: unknown key {key!r}", remedy="there are id, src, env and type")
        found[key] = value
    if found.get("type", "file") not in ("file", "env"):
        raise UsageError(f"--secret {text}: unknown type {found['type']!r}", remedy="there are file and env")
    if not found.get("id"):
        raise UsageError(f"--secret {text}: it has no id")
    path, env = found.get("src", ""), found.get("env", "")
    if found.get("type") == "env" and not env:
        path, env = "", path
    return SecretSpec(found["id"], path, env)


def _fields(text: str) -> tuple[str, ...]:
    try:
        return csv_fields(text)
    except DockerfileError as error:
        raise UsageError(f"--secret {text}: {error.message}", remedy=error.remedy) from error


class Secrets:
    """The secrets of one build: looked at when it begins, read when a step asks, and never kept."""

    def __init__(self, specs: Iterable[SecretSpec], environ: Mapping[str, str]) -> None:
        """Raise SourceError for a file that is not there or too large; of several with one ID the last counts."""
        self._environ = environ
        self._specs = {spec.id: self._settled(spec) for spec in specs}

    def __call__(self, name: str, /) -> bytes | None:
        """Return what a secret holds, None where there is no such secret; raise SourceError where it is gone."""
        spec = self._specs.get(name)
        if spec is None:
            return None
        content = os.fsencode(self._environ.get(spec.env, "")) if spec.env else _read(spec)
        if len(content) > _LIMIT:
            raise _too_large(spec)
        return content

    def _settled(self, spec: SecretSpec) -> SecretSpec:
        if not spec.env and not spec.path:
            env, path = (spec.id, "") if spec.id in self._environ else ("", spec.id)
            spec = SecretSpec(spec.id, path, env)
        if spec.path:
            try:
                size = os.stat(spec.path).st_size
            except OSError as error:
                raise _unreadable(spec, error) from error
            if size > _LIMIT:
                raise _too_large(spec)
        return spec


def _read(spec: SecretSpec) -> bytes:
    try:
        with open(spec.path, "rb") as file:
            return file.read(_LIMIT + 1)
    except OSError as error:
        raise _unreadable(spec, error) from error


def _unreadable(spec: SecretSpec, error: OSError) -> SourceError:
    return SourceError(f"secret {spec.id}: {spec.path}: {error.strerror}", remedy="--secret names its file")


def _too_large(spec: SecretSpec) -> SourceError:
    return SourceError(f"secret {spec.id}: more than {_LIMIT >> 10} KiB")
