"""What a conversion is told, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ocibuild.graph import Network
from ocibuild.oci import Platform

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ocibuild.graph import Vertex
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
class Options:
    """What the user asked for.

    ``target`` is a stage's name or number, None for the last stage. ``platform`` is what the image is for,
    ``build_platform`` the machine that builds it. ``network`` is that of a RUN that names none. ``contexts`` are the
    names of named contexts: each replaces the stage, or the image, of its name.
    """

    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = field(default_factory=Platform.host)
    build_platform: Platform = field(default_factory=Platform.host)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Network = Network.DEFAULT
    contexts: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Target:
    """A converted Dockerfile: the vertex that gives the tree, the image's config so far, and warnings.

    ``config`` has the base's diff IDs and history, with an entry without a time for each new instruction after them:
    ``empty_layer`` is False for each Run, Copy and MakeDirectory on the way from the base to ``vertex``, in order.
    """

    vertex: Vertex
    config: ImageConfig
    warnings: tuple[str, ...] = ()
