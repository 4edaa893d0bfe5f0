"""What a conversion is told, and what it gives."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ocibuild.graph import Network
from ocibuild.oci import Platform
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ocibuild.dockerfile.parser.instructions import StageInstruction
    from ocibuild.errors import SourceRange
    from ocibuild.graph import ExtraHost, GitReference, Ulimit, Vertex
    from ocibuild.oci import Digest, ImageConfig, Reference


@dataclass(frozen=True, slots=True)
class ResolvedBase:
    """An image as a registry or the store has it: the digest of its manifest for one platform, and its config."""

    digest: Digest
    config: ImageConfig


class ImageResolver(Protocol):
    """Finds images; asked once for each image and platform, and only for those that the target needs."""

    def __call__(self, reference: Reference, platform: Platform) -> ResolvedBase:
        """Return the image; raises RegistryError or StoreError."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A named context that is a folder of this machine: the ``Context`` of its name."""


@dataclass(frozen=True, slots=True)
class ImageContext:
    """A named context that is an image; the resolver knows ``reference``, also where it stands for one of a layout."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class GitContext:
    """A named context that is what a Git repository holds."""

    reference: GitReference


@dataclass(frozen=True, slots=True)
class HttpContext:
    """A named context that is a file behind a URL: what a tar holds, or the file as ``context``."""

    url: str


NamedContext: TypeAlias = LocalFolder | ImageContext | GitContext | HttpContext


@dataclass(frozen=True, slots=True)
class Seen:
    """What holds before an instruction is converted.

    ``variables`` are those of ENV and ARG, ``arguments`` the names that an ARG has declared, with or without a value,
    ``has_shell`` whether a SHELL was set, here or in the base.
    """

    variables: Mapping[str, str]
    arguments: Collection[str]
    has_shell: bool


class Observer(Protocol):
    """Is told what a conversion comes to, before that is acted on; the linter and the outline are made of it."""

    def image(self, name: str, location: SourceRange, wanted: Platform, found: Platform) -> None:
        """Take note of an image that a FROM names, and of the platforms it should be for and is for."""

    def stage(self, index: int, base: int | None, inputs: Sequence[int]) -> None:
        """Take note that a stage begins, of the stage it stands on, and of all that it uses, that one included."""

    def instruction(self, instruction: StageInstruction, seen: Seen) -> None:
        """Take note of the next instruction of the stage."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    ``target`` is a stage's name or number, None for the last stage. ``platform`` is what the image is for,
    ``build_platform`` the machine that builds it. ``network`` is that of a RUN that names none. ``contexts`` are the
    named contexts: each replaces the stage, or the image, of its name. With ``every_stage``, those that the target does
    not need are converted, too, for ``observers`` to see. ``allowed`` is what a RUN may ask for: ``network.host``,
    ``security.insecure``. ``extra_hosts``, ``shm_size`` and ``ulimits`` are what every RUN is given. ``anew`` are the
    names or numbers of stages whose steps are to be made anew.
    """

    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = field(default_factory=Platform.host)
    build_platform: Platform = field(default_factory=Platform.host)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Network = Network.DEFAULT
    contexts: Mapping[str, NamedContext] = field(default_factory=dict)
    allowed: Collection[str] = frozenset()
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    anew: tuple[str, ...] = ()
    every_stage: bool = False
    observers: tuple[Observer, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A converted Dockerfile: the vertex that gives the tree, the image's config so far, and warnings.

    ``config`` has the base's diff IDs and history, with an entry without a time for each new instruction after them:
    ``empty_layer`` is False for each Run, Copy and MakeDirectory on the way from the base to ``vertex``, in order.
    """

    vertex: Vertex
    config: ImageConfig
    warnings: tuple[str, ...] = ()
