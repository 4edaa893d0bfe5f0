"""What to build, as plain data: each vertex is one operation, and refers to the vertices that it needs.

The Dockerfile is converted to these, and the solver runs them; neither knows the other. A vertex says what is meant,
never how it is done. Vertices are compared by identity: what makes two of them the same work is their cache key, and
comparing chains of a thousand steps by value would recurse. ``origin`` tells a user where a vertex comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ocibuild.errors import SourceRange
    from ocibuild.oci import Digest, Platform, Reference


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a vertex comes from: ``label`` is what progress shows, such as ``[builder 2/5] RUN make``."""

    label: str
    location: SourceRange | None = None


NOWHERE = Origin("")


class Network(StrEnum):
    """What a step reaches: the machine's network, or loopback alone."""

    DEFAULT = "default"
    HOST = "host"
    NONE = "none"


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


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A process run in the tree of ``base``.

    ``args`` is the whole argument list (the shell included, in shell form). ``env`` holds ``NAME=value`` strings as
    the process sees them; ``hidden_env`` likewise, but kept out of the cache key (the predefined proxy arguments).
    ``user`` is as in USER: a name or number, with an optional group; empty is root.
    """

    base: Vertex
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    hidden_env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = "/"
    network: Network = Network.DEFAULT
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """Files of the tree of ``source`` put into the tree of ``base``.

    ``paths`` are patterns below the root of the source, already expanded and cleaned of a leading slash;
    ``destination`` is absolute in the base, with a trailing slash where it must be a directory. ``owner`` is as in
    ``--chown`` (names are looked up in the base); ``mode`` as in ``--chmod``, octal. ``unpack`` is ADD's habit of
    unpacking a local tar.
    """

    base: Vertex
    source: Vertex
    paths: tuple[str, ...]
    destination: str
    owner: str | None = None
    mode: int | None = None
    unpack: bool = False
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, eq=False)
class MakeDirectory:
    """A directory, and its parents, made in the tree of ``base`` where it is missing (WORKDIR).

    ``user`` is its owner, as in USER.
    """

    base: Vertex
    path: str
    user: str = ""
    origin: Origin = NOWHERE


Vertex: TypeAlias = Scratch | Image | Context | Run | Copy | MakeDirectory


def inputs(vertex: Vertex) -> tuple[Vertex, ...]:
    """Return the vertices that this one needs, its base first."""
    match vertex:
        case Scratch() | Image() | Context():
            return ()
        case Copy(base=base, source=source):
            return (base, source)
        case Run(base=base) | MakeDirectory(base=base):
            return (base,)
