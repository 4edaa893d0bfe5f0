"""What ``--output`` asks for."""

from __future__ import annotations

import os
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ocibuild.errors import DockerfileError, OcibuildError, UsageError
from ocibuild.graph.csvfields import csv_fields
from ocibuild.oci import Compression, Reference
from ocibuild.output.encoding import Encoding
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """The kinds of output that there are."""

    IMAGE = "image"
    REGISTRY = "registry"
    OCI = "oci"
    DOCKER = "docker"
    TAR = "tar"
    LOCAL = "local"
    NOTHING = "cacheonly"


_ENCODING: Final = frozenset(
    {"compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp"}
)
_IMAGE: Final = _ENCODING | {"name"}
_ARCHIVE: Final = _IMAGE | {"dest", "tar"}
_MEMBERS: Final = {
    Kind.IMAGE: _IMAGE | {"push"},
    Kind.REGISTRY: _IMAGE,
    Kind.OCI: _ARCHIVE,
    Kind.DOCKER: _ARCHIVE,
    Kind.TAR: frozenset({"dest"}),
    Kind.LOCAL: frozenset({"dest"}),
    Kind.NOTHING: frozenset(),
}
_ESTARGZ: Final = "estargz"
_COMPRESSIONS: Final = {
    "gzip": Compression.GZIP,
    "zstd": Compression.ZSTD,
    _ESTARGZ: Compression.GZIP,
    "uncompressed": Compression.NONE,
}
_LEVELS: Final = {Compression.GZIP: 9, Compression.ZSTD: 22}
_OF_MANIFEST: Final = ("annotation.", "annotation-manifest.")
_OF_INDEX: Final = "annotation-index."
_OTHER_ANNOTATIONS: Final = ("annotation-manifest-descriptor.", "annotation-index-descriptor.")


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One ``--output``: ``names`` are tags beside those of ``--tag``; ``dest`` is a file or folder, ``-`` for stdout.

    ``is_folder`` is whether what would be an archive is written as a folder; ``annotations`` are those of the manifest,
    ``index_annotations`` those of the index where there is one.
    """

    kind: Kind
    dest: str = ""
    names: tuple[Reference, ...] = ()
    push: bool = False
    is_folder: bool = False
    encoding: Encoding = field(default_factory=Encoding)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    index_annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_image(self) -> bool:
        """Whether it is an image, not the files of one."""
        return self.kind not in (Kind.TAR, Kind.LOCAL, Kind.NOTHING)

    @property
    def is_rewritten(self) -> bool:
        """Whether the image is another than the one that was built."""
        return self.encoding != Encoding() or bool(self.annotations or self.index_annotations)


def parse_output(text: str) -> OutputSpec:
    """Return what ``--output`` says: ``type=KIND,KEY=VALUE…``; a path alone is ``type=local``, ``-`` ``type=tar``.

    Raises UsageError for what is not supported.
    """
    members = _members(text)
    kind = _kind(members.pop("type", ""), text)
    of_index = _annotations(members, (_OF_INDEX,), kind, text)
    annotations = _annotations(members, _OF_MANIFEST, kind, text)
    unknown = sorted(set(members) - _MEMBERS[kind])
    if unknown:
        raise UsageError(f"--output {text}: {unknown[0]}= is not supported with type={kind}")
    spec = OutputSpec(
        kind,
        dest=members.get("dest", ""),
        names=tuple(Reference.parse(name) for name in members.get("name", "").split(";") if name),
        push=_flag(members, "push", text) or kind is Kind.REGISTRY,
        is_folder=kind is Kind.LOCAL or not _flag(members, "tar", text, default=True),
        encoding=_encoding(members, text),
        annotations=annotations,
        index_annotations=of_index,
    )
    if kind is Kind.DOCKER and not spec.dest:  # where docker would give it to its daemon
        return replace(spec, kind=Kind.IMAGE)
    if not spec.dest and kind in (Kind.OCI, Kind.TAR, Kind.LOCAL):
        remedy = "add dest=FOLDER" if spec.is_folder else "add dest=FILE, or dest=- for stdout"
        raise UsageError(f"--output {text}: dest= is missing", remedy=remedy)
    if spec.is_folder and spec.dest == "-":
        raise UsageError(f"--output {text}: a folder cannot be written to stdout", remedy="add dest=FOLDER")
    return spec


def check_outputs(
    specs: Sequence[OutputSpec], tags: Sequence[Reference], *, of_index: bool = False, is_annotated: bool = False
) -> None:
    """Raise OcibuildError for what could not be written once the image, or an index of images, is built.

    ``is_annotated`` is whether the index has annotations, whatever the output.
    """
    for spec in specs:
        if of_index and spec.kind in (Kind.DOCKER, Kind.TAR):
            other = "oci" if spec.is_image else "local"
            raise UsageError(f"type={spec.kind} holds one platform", remedy=f"take type={other}, or one --platform")
        if (is_annotated or spec.index_annotations) and not spec.encoding.is_oci:
            raise UsageError("docker's lists have no annotations", remedy="leave out oci-mediatypes=false")
        if spec.index_annotations and not of_index:
            raise UsageError("one platform has no index to annotate", remedy="annotate the manifest, with annotation.")
        if spec.push and not (spec.names or tags):
            raise UsageError("an image without a name cannot be pushed", remedy="name it with --tag")
        if spec.dest and spec.is_folder:
            _check_folder(spec.dest)
        elif spec.dest:
            check_destination(spec.dest)
    destinations = [os.path.abspath(spec.dest) for spec in specs if spec.dest]
    if len(set(destinations)) < len(destinations):
        raise UsageError("two outputs have the same dest=", remedy="give each its own")


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


def _check_folder(path: str) -> None:
    """Raise OcibuildError where a folder cannot be made at ``path``, with those above it, or written to."""
    there = os.path.abspath(path)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        raise OcibuildError(f"{path}: {there} is no folder", remedy="name another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OcibuildError(f"{path}: cannot be written", remedy="name another folder")


def _members(text: str) -> dict[str, str]:
    if text and "=" not in text.partition(",")[0]:
        return {"type": "tar" if text == "-" else "local", "dest": text}
    members: dict[str, str] = {}
    for part in _fields(text):
        key, separator, value = part.partition("=")
        if not separator:
            raise UsageError(f"--output {text}: {part!r} is not KEY=VALUE")
        name = key.strip()
        members[name if name.lower().startswith("annotation") else name.lower()] = value.strip()
    return members


def _fields(text: str) -> tuple[str, ...]:
    try:
        return csv_fields(text)
    except DockerfileError as error:
        raise UsageError(f"--output {text}: {error.message}", remedy=error.remedy) from error


def _kind(name: str, text: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise UsageError(f"--output {text}: unknown type {name!r}", remedy=f"there are {', '.join(Kind)}") from None


def _flag(members: Mapping[str, str], name: str, text: str, *, default: bool = False) -> bool:
    value = members.get(name, str(default)).lower()
    if value not in ("true", "false", "1", "0"):
        raise UsageError(f"--output {text}: {name}={members[name]} is neither true nor false")
    return value in ("true", "1")


def _encoding(members: Mapping[str, str], text: str) -> Encoding:
    name, level = members.get("compression"), members.get("compression-level")
    if name is not None and name not in _COMPRESSIONS:
        raise UsageError(
            f"--output {text}: unknown compression {name!r}", remedy=f"there are {', '.join(_COMPRESSIONS)}"
        )
    compression = _COMPRESSIONS[name] if name else None
    is_oci = _flag(members, "oci-mediatypes", text, default=True)
    if name == _ESTARGZ and not is_oci:
        raise UsageError(
            f"--output {text}: eStargz has annotations of layers, which docker's manifests have not",
            remedy="leave out oci-mediatypes=false",
        )
    return Encoding(
        compression=compression,
        level=None if level is None else _level(level, compression or Compression.GZIP, text),
        force=_flag(members, "force-compression", text),
        is_oci=is_oci,
        rewrites_times=_flag(members, "rewrite-timestamp", text),
        is_estargz=name == _ESTARGZ,
    )


def _level(level: str, compression: Compression, text: str) -> int:
    most = _LEVELS.get(compression, 0)
    if not (level.isascii() and level.isdigit() and int(level) <= most):
        raise UsageError(f"--output {text}: compression-level={level} is not one of 0 to {most}")
    return int(level)


def _annotations(members: dict[str, str], prefixes: Sequence[str], kind: Kind, text: str) -> dict[str, str]:
    """Take the annotations that begin so off the members."""
    found = {}
    for key in [name for name in members if name.startswith("annotation")]:
        if key.startswith(_OTHER_ANNOTATIONS) or "[" in key:
            raise UsageError(f"--output {text}: {key}= is not supported yet", remedy="annotate the manifest")
        prefix = next((one for one in (*_OF_MANIFEST, _OF_INDEX) if key.startswith(one)), None)
        if prefix is None or len(key) == len(prefix) or "name" not in _MEMBERS[kind]:
            raise UsageError(f"--output {text}: {key}= is not supported with type={kind}")
        if prefix in prefixes:
            found[key.removeprefix(prefix)] = members.pop(key)
    return found
