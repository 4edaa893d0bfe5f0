"""``RUN --mount=FIELD,FIELD…``: what a step sees in its tree for its own time only."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, TypeAlias

from ocibuild import graph
from ocibuild.dockerfile.conversion import paths
from ocibuild.dockerfile.suggest import did_you_mean
from ocibuild.errors import DockerfileError
from ocibuild.graph.csvfields import csv_fields
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.errors import SourceRange

    Expand: TypeAlias = Callable[[str], str]
    TreeOf: TypeAlias = Callable[[str], graph.Vertex]

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARED = ("secret", "ssh")
_OWNED = ("secret", "ssh", "cache")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_KEYS = (
    "type", "from", "source", "target", "readonly", "readwrite", "required", "size", "id", "sharing", "mode", "uid",
    "gid", "env",
)  # fmt: skip
_ALONE = ("readonly", "readwrite", "required")
_PART = "/part"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")  # as Go's strconv.ParseBool
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_MAX_ID = (1 << 32) - 1


@dataclass(slots=True)
class _Fields:
    """What the fields of one mount say; None where they do not say it."""

    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    id: str = ""
    read_only: bool | None = None
    required: bool = False
    size: int | None = None
    sharing: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None

    @property
    def owned(self) -> bool:
        """Whether anything is said of mode and owners."""
        return (self.mode, self.uid, self.gid) != (None, None, None)


def origins(mounts: Sequence[str]) -> tuple[str, ...]:
    """Return the ``from`` of each of the ``mounts`` that has one: no variable in it is expanded, unlike the rest."""
    found = []
    for mount in mounts:
        values = [value for key, _, value in (field.partition("=") for field in csv_fields(mount)) if _is_from(key)]
        found += values[-1:]
    return tuple(filter(None, found))


def _is_from(key: str) -> bool:
    return key.lower() == "from"


def read_mounts(
    mounts: Sequence[str], *, working_dir: str, namespace: str, expand: Expand, tree_of: TreeOf, location: SourceRange
) -> tuple[graph.Mount, ...]:
    """Return the ``mounts`` of a RUN, in their order.

    ``tree_of`` gives the tree that ``from`` names, and for no name that of the main build context; relative targets are
    seen from ``working_dir``, and IDs of caches are in ``namespace``. Raises DockerfileError for a field that is not
    known or not understood, and for fields that make no sense together.
    """
    found: list[graph.Mount] = []
    agents = 0
    for text in mounts:
        fields = _read(text, expand)
        match fields.type:
            case "secret":
                found.append(_secret(fields, working_dir))
            case "ssh":
                found.append(_ssh(fields, working_dir, agents))
                agents += 1
            case "tmpfs":
                found.append(graph.TmpfsMount(_target(fields, working_dir), fields.size, bool(fields.read_only)))
            case "cache":
                found.append(_cache(fields, working_dir, namespace, tree_of, location))
            case _:
                found.append(_bind(fields, working_dir, tree_of, location))
    return tuple(found)


def _read(text: str, expand: Expand) -> _Fields:
    fields = _Fields()
    for field in csv_fields(text):
        key, equals, value = field.partition("=")
        name = _ALIASES.get(key.lower(), key.lower())
        if equals:
            _set(fields, name, expand(value), field)
        elif name in _ALONE:
            _set(fields, name, "true", field)
        else:
            raise DockerfileError(
                f"invalid field {field!r} in RUN --mount: it must be a key=value pair",
                remedy=did_you_mean(key, _KEYS),
            )
    _check(fields)
    return fields


def _set(fields: _Fields, name: str, value: str, field: str) -> None:
    match name:
        case "type":
            fields.type = _one_of(value, _TYPES, "mount type")
        case "from":
            fields.from_ = value
        case "source":
            fields.source = value
        case "target":
            fields.target = value
        case "id":
            fields.id = value
        case "env":
            fields.env = value
        case "readonly":
            fields.read_only = _boolean(name, value)
        case "readwrite":
            fields.read_only = not _boolean(name, value)
        case "required":
            _require_type(name, fields, _SHARED)
            fields.required = _boolean(name, value)
        case "size":
            _require_type(name, fields, ("tmpfs",))
            fields.size = _size(value) or None
        case "sharing":
            fields.sharing = _one_of(value, graph.Sharing, "sharing value")
        case "mode":
            fields.mode = _number(name, value, 8)
        case "uid":
            fields.uid = _number(name, value, 10)
        case "gid":
            fields.gid = _number(name, value, 10)
        case _:
            raise DockerfileError(
                f"unexpected key {name!r} in {field!r} of RUN --mount",
                remedy=did_you_mean(name, _KEYS) or f"the keys are {', '.join(_KEYS)}",
            )


def _require_type(name: str, fields: _Fields, types: Sequence[str]) -> None:
    if fields.type not in types:
        raise DockerfileError(
            f"unexpected key {name!r} for a mount of type {fields.type!r}",
            remedy=f"write it after type={' or type='.join(types)}",
        )


def _check(fields: _Fields) -> None:
    """Refuse fields that do not go together."""
    if fields.owned and fields.type not in _OWNED:
        raise DockerfileError(f"mode, uid and gid are not allowed for a mount of type {fields.type!r}")
    if fields.sharing and fields.type != "cache":
        raise DockerfileError(f"sharing is not allowed for a mount of type {fields.type!r}")
    if fields.type == "secret":
        _check_secret(fields)
    if fields.type == "ssh" and fields.source:
        raise DockerfileError("a mount of type 'ssh' has no source", remedy="name the agent with id=")


def _check_secret(fields: _Fields) -> None:
    if fields.from_:
        raise DockerfileError("a secret mount should not have a from")
    if not (fields.source or fields.target or fields.id):
        raise DockerfileError("an invalid secret mount: it has neither id nor target", remedy="write id=NAME")
    if fields.source and fields.id:
        raise DockerfileError("a secret mount cannot have both source and id", remedy="they mean the same: leave one")


def _secret(fields: _Fields, working_dir: str) -> graph.SecretMount:
    name = fields.source or fields.id or posixpath.basename(fields.target.rstrip("/")) or "/"
    target = fields.target
    if not target and fields.env is None:
        target = f"/run/secrets/{posixpath.basename(name.rstrip('/'))}"
    return graph.SecretMount(
        id=name,
        target=paths.join(working_dir, target) if target else None,
        env=fields.env,
        required=fields.required,
        mode=0o400 if fields.mode is None else fields.mode,
        uid=fields.uid or 0,
        gid=fields.gid or 0,
    )


def _ssh(fields: _Fields, working_dir: str, number: int) -> graph.SSHMount:
    return graph.SSHMount(
        id=fields.id or "default",
        target=paths.join(working_dir, fields.target) if fields.target else f"/run/buildkit/ssh_agent.{number}",
        required=fields.required,
        mode=0o600 if fields.mode is None else fields.mode,
        uid=fields.uid or 0,
        gid=fields.gid or 0,
    )


def _cache(
    fields: _Fields, working_dir: str, namespace: str, tree_of: TreeOf, location: SourceRange
) -> graph.CacheMount:
    """The owner and mode of a cache are those of a new directory; with them the files of a tree are not taken."""
    path = paths.clean(fields.source)
    source = None
    if fields.from_ and not (fields.owned and path == "/"):
        source, path = _shown(tree_of(fields.from_), path, location)
    return graph.CacheMount(
        target=_target(fields, working_dir),
        id=f"{namespace}/{fields.id or posixpath.normpath(fields.target)}",
        sharing=graph.Sharing(fields.sharing or graph.Sharing.SHARED),
        source=source,
        path=path,
        mode=0o755 if fields.mode is None else fields.mode,
        uid=fields.uid or 0,
        gid=fields.gid or 0,
        read_only=bool(fields.read_only),
    )


def _bind(fields: _Fields, working_dir: str, tree_of: TreeOf, location: SourceRange) -> graph.BindMount:
    target = _target(fields, working_dir)
    tree, path = _shown(tree_of(fields.from_), paths.clean(fields.source), location)
    return graph.BindMount(target, tree, path, read_only=fields.read_only is not False)


def _shown(tree: graph.Vertex, path: str, location: SourceRange) -> tuple[graph.Vertex, str]:
    """Return the tree and the path in it that a mount shows: of a build context a copy of what it names, alone.

    So the context's ignore file holds, its content is the key, and symbolic links on the way are followed.
    """
    if not isinstance(tree, graph.Context):
        return tree, path
    source = graph.CopySource(tree, (paths.literal(path[1:]) or ".",))
    origin = graph.Origin(tree.origin.label, location)
    return graph.Copy(graph.Scratch(), (source,), _PART, origin=origin), _PART


def _target(fields: _Fields, working_dir: str) -> str:
    target = paths.join(working_dir, fields.target)
    if target == "/":
        raise DockerfileError("invalid mount target '/'", remedy="name a directory with target=")
    return target


def _boolean(name: str, value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise DockerfileError(f"invalid value for {name} in RUN --mount: {value!r}", remedy="it is true or false")
    return value in _TRUE


def _one_of(value: str, known: Sequence[str] | type[graph.Sharing], what: str) -> str:
    names = [str(name) for name in known]
    if value.lower() not in names:
        remedy = did_you_mean(value, names) or f"use {', '.join(names)}"
        raise DockerfileError(f"unsupported {what} {value!r}", remedy=remedy)
    return value.lower()


def _number(name: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or len(value) > 32 or int(value, base) > _MAX_ID:
        raise DockerfileError(f"invalid value {value!r} for {name} in RUN --mount")
    return int(value, base)


def _size(value: str) -> int:
    """Return a size in bytes: ``10m``, ``1.5 GiB``; units are of 1024."""
    size = graph.parse_size(value)
    if size is None:
        raise DockerfileError(f"invalid value for size in RUN --mount: {value!r}", remedy="write it like 64m or 1g")
    return size
