"""What to build, as plain data: each vertex is one operation, and refers to the vertices that it needs.

The Dockerfile is converted to these, and the solver runs them; neither knows the other. A vertex says what is meant,
never how it is done. Vertices are compared by identity: what makes two of them the same work is their cache key, and
comparing chains of a thousand steps by value would recurse. ``origin`` tells a user where a vertex comes from.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.graph.mounts import BindMount, CacheMount
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from ocibuild.errors import SourceRange
    from ocibuild.fs import ModeChange
    from ocibuild.graph.gitreference import GitReference
    from ocibuild.graph.mounts import Mount
    from ocibuild.graph.resources import ExtraHost, Ulimit
    from ocibuild.oci import Digest, Platform, Reference


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a vertex comes from: ``label`` is what progress shows, such as ``[builder 2/5] RUN make``.

    ``anew`` is that its user wants it made, whatever is known of it from before.
    """

    label: str
    location: SourceRange | None = None
    anew: bool = False


NOWHERE = Origin("")
DEFAULT_HOSTNAME = "buildkitsandbox"
"""The name of the machine in a step, as BuildKit has it."""


class Network(StrEnum):
    """What a step reaches: the machine's network, or loopback alone."""

    DEFAULT = "default"
    HOST = "host"
    NONE = "none"


class Security(StrEnum):
    """How far a step is confined: as docker confines a container, or with every capability that the builder has."""

    SANDBOX = "sandbox"
    INSECURE = "insecure"


@dataclass(frozen=True, slots=True, eq=False)
class Scratch:
    """The empty tree."""

    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """The tree of an image; ``digest`` is that of the manifest for ``platform``, where it is resolved already."""

    reference: Reference
    platform: Platform
    digest: Digest | None = None
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A build context; the empty name is the main one."""

    name: str = ""
    origin: Origin = NOWHERE


class InlineFile(NamedTuple):
    """A file whose content stands in the Dockerfile; ``name`` is a single component."""

    name: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, eq=False)
class Inline:
    """A tree of files whose content stands in the Dockerfile (heredocs), owned by root and without times."""

    files: tuple[InlineFile, ...]
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class HttpFile:
    """A tree with one file, ``name``: what ``url`` gives; ``checksum`` is what it must be, where that is known."""

    url: str
    name: str
    checksum: Digest | None = None
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class GitTree:
    """The files of a commit of a Git repository; ``keep_git_dir`` leaves ``.git`` beside them.

    ``checksum`` is the commit, or the beginning of its hash, that the reference must lead to, where that is given.
    """

    reference: GitReference
    keep_git_dir: bool = False
    checksum: str | None = None
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A process run in the tree of ``base``, with ``mounts`` in it for the time of the step, in their order.

    ``args`` is the whole argument list (the shell included, in shell form). ``env`` holds ``NAME=value`` strings as
    the process sees them; ``hidden_env`` likewise, but kept out of the cache key (the predefined proxy arguments).
    ``user`` is as in USER: a name or number, with an optional group; empty is root. ``hostname`` is the name of the
    machine as the process sees it. ``platform`` is what the programs of the tree are made for, None the machine's.
    ``shm_size`` is that of /dev/shm in bytes, None for the usual one. ``shell`` is what ``args`` begins with where that
    is a shell which is given a command: it says no more of the step, but with what a user may want to look at it.
    """

    base: Vertex
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    hidden_env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = "/"
    hostname: str = DEFAULT_HOSTNAME
    network: Network = Network.DEFAULT
    security: Security = Security.SANDBOX
    mounts: tuple[Mount, ...] = ()
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    platform: Platform | None = None
    shell: tuple[str, ...] = ()
    origin: Origin = NOWHERE


class CopySource(NamedTuple):
    """Files of a tree that a COPY or ADD takes.

    ``paths`` are patterns below its root, already expanded and cleaned of a leading slash. ``unpack`` puts what a tar
    archive holds in the place of the archive, as ADD does with local ones.
    """

    tree: Vertex
    paths: tuple[str, ...]
    unpack: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """Files of other trees put into the tree of ``base``, those of ``sources`` in their order.

    ``destination`` is absolute in the base, with a trailing slash where it must be a directory. ``owner`` is as in
    ``--chown`` (names are looked up in the base); ``mode`` as in ``--chmod``. ``parents`` keeps the directories above
    each file, from the pivot ``/./`` in its pattern where there is one; ``exclude`` are patterns, as in
    ``.dockerignore``, of what is left out. With ``link`` the result does not depend on the tree of the base: its
    symlinks are not followed, its names of owners not known.
    """

    base: Vertex
    sources: tuple[CopySource, ...]
    destination: str
    owner: str | None = None
    mode: ModeChange | None = None
    parents: bool = False
    exclude: tuple[str, ...] = ()
    link: bool = False
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class MakeDirectory:
    """A directory, and its parents, made in the tree of ``base`` where it is missing (WORKDIR).

    ``user`` is its owner, as in USER; ``time``, in seconds since 1970, that of the directories that are made.
    """

    base: Vertex
    path: str
    user: str = ""
    time: int | None = None
    origin: Origin = NOWHERE


Vertex: TypeAlias = Scratch | Image | Context | Inline | HttpFile | GitTree | Run | Copy | MakeDirectory


def sources(vertex: Vertex) -> tuple[Vertex, ...]:
    """Return the trees that this vertex takes files from, or mounts, beside its base."""
    match vertex:
        case Copy(sources=taken):
            return tuple(source.tree for source in taken)
        case Run(mounts=mounts):
            return tuple(mount.source for mount in mounts if isinstance(mount, BindMount | CacheMount) and mount.source)
        case _:
            return ()


def inputs(vertex: Vertex) -> tuple[Vertex, ...]:
    """Return the vertices that this one needs, its base first."""
    match vertex:
        case Run(base=base) | Copy(base=base) | MakeDirectory(base=base):
            return (base, *sources(vertex))
        case _:
            return ()
