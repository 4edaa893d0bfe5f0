"""What a step sees in its tree for its own time only: the mounts of RUN.

A ``target`` is absolute. Modes and owners that are None are the kind's own defaults. Nothing that a secret or an agent
holds is part of any of these, so none of it can come into a key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.graph.vertex import Vertex


class Sharing(StrEnum):
    """What becomes of a cache that another step is using: both use it, each has its own, or one waits."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True, eq=False)
class BindMount:
    """The file or directory ``path`` of the tree ``source``; what a step writes to it is thrown away."""

    target: str
    source: Vertex
    path: str = "/"
    read_only: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class CacheMount:
    """A directory kept from build to build under ``id``; at first it holds what is at ``path`` of ``source``.

    ``mode`` and the owners are those of a directory that is made anew.
    """

    target: str
    id: str
    sharing: Sharing = Sharing.SHARED
    source: Vertex | None = None
    path: str = "/"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TmpfsMount:
    """An empty directory in memory; ``size`` is its limit in bytes, where it has one."""

    target: str
    size: int | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SecretMount:
    """A secret of the build: a file at ``target``, the environment variable ``env``, or both.

    One that the build was not given is left out, unless it is ``required``.
    """

    id: str
    target: str | None
    env: str | None = None
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SSHMount:
    """The socket of an SSH agent at ``target``, which SSH_AUTH_SOCK names.

    One that the build was not given is left out, unless it is ``required``.
    """

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SSHMount
