"""A build as it is asked for, and what it gave."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from ocibuild.executor import Forced
from ocibuild.graph import Network
from ocibuild.output import Kind, OutputSpec
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.build.agents import SSHSpec
    from ocibuild.build.secrets import SecretSpec
    from ocibuild.cache import CacheFrom, CacheTo
    from ocibuild.graph import ExtraHost, Ulimit
    from ocibuild.oci import Descriptor, Digest, Platform, Reference
    from ocibuild.store import LayerRecord


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, from what, and where it goes.

    ``context`` is a folder, a Git reference, a URL, or ``-`` for standard input, which gives a tar or a Dockerfile;
    ``dockerfile`` is a path (inside of a context that is not a folder), ``-`` for standard input, or None for the usual
    names in the context. ``contexts`` are further ones by name: a folder, ``docker-image://REFERENCE``,
    ``oci-layout://PATH``, a Git reference or a URL. ``secrets`` and ``agents`` are what steps may mount, ``allowed``
    what they may ask for (``entitlements()``), ``extra_hosts``, ``shm_size`` and ``ulimits`` what they are given. With
    ``pasta`` a step of the network DEFAULT has one of its own, which pasta connects. The steps of the stages ``anew``,
    by name or number, do not come from the cache. ``pull`` resolves base images anew. ``cache_from`` and ``cache_to``
    are caches beyond the store. ``forced`` is how steps must be run. Without ``outputs`` the image goes into the store
    alone. With ``debug_on_failure`` a shell is opened on this process's terminal in what a RUN that fails has left.
    With ``verifies`` the image is built a second time, without any cache, and must be the same. Where there are several
    ``platforms``, an image of each is built, and what is delivered is an index of them.
    """

    context: str
    platform: Platform
    dockerfile: str | None = None
    tags: tuple[Reference, ...] = ()
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    index_annotations: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[Platform, ...] = ()
    network: Network = Network.DEFAULT
    pasta: bool = False
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    agents: tuple[SSHSpec, ...] = ()
    allowed: frozenset[str] = frozenset()
    outputs: tuple[OutputSpec, ...] = ()
    use_cache: bool = True
    anew: tuple[str, ...] = ()
    cache_from: tuple[CacheFrom, ...] = ()
    cache_to: tuple[CacheTo, ...] = ()
    pull: bool = False
    jobs: int = 2
    debug_on_failure: bool = False
    verifies: bool = False
    forced: Forced = field(default_factory=Forced)

    def repeated(self) -> BuildRequest:
        """Return the same build, done anew for its own sake: from no cache, and to go nowhere."""
        nothing = (OutputSpec(Kind.NOTHING),)
        return replace(self, use_cache=False, anew=(), cache_from=(), cache_to=(), tags=(), outputs=nothing)

    @property
    def is_index(self) -> bool:
        """Whether what is delivered is an index of images."""
        return len(self.platforms) > 1

    @property
    def names(self) -> tuple[Reference, ...]:
        """All names of the image in the store, each once."""
        return tuple(dict.fromkeys([*self.tags, *(name for output in self.outputs for name in output.names)]))

    @property
    def all_platforms(self) -> tuple[Platform, ...]:
        """The platforms of what is delivered."""
        return self.platforms or (self.platform,)

    @property
    def parts(self) -> tuple[BuildRequest, ...]:
        """The build of each image: those of an index have no name and go nowhere on their own."""
        if not self.is_index:
            return (self,)
        part = replace(self, platforms=(), tags=(), outputs=(OutputSpec(Kind.NOTHING),))
        return tuple(replace(part, platform=one) for one in self.platforms)

    @property
    def keeps_image(self) -> bool:
        """Whether the image as it was built gets its names in the store.

        It does not where only its files are wanted, nor where an output puts another form of it there.
        """
        if any(output.kind is Kind.IMAGE and output.is_rewritten for output in self.outputs):
            return False
        return not self.outputs or any(output.is_image for output in self.outputs)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """An image that was built: its ID, the descriptor of its manifest in the store, and its names.

    Of an index the ID is its digest.
    It has them in the store too, unless layers are missing there that nobody needed here. ``own`` are the results that
    its new layers are, ``others`` what else was wanted for a cache. ``last_step`` is the number of the last step that
    events told of.
    """

    image_id: Digest
    descriptor: Descriptor
    tags: tuple[Reference, ...]
    own: tuple[LayerRecord, ...]
    others: tuple[LayerRecord, ...]
    last_step: int
