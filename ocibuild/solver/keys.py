"""Cache keys: a digest of what an operation means, together with the keys of its inputs.

Times, the machine's paths, secrets and hidden environment never enter. ``_FORMAT`` changes whenever the meaning of a
key or of what is stored under it does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from ocibuild.graph import (
    BindMount,
    CacheMount,
    Context,
    Copy,
    CopySource,
    GitTree,
    HttpFile,
    Image,
    Inline,
    MakeDirectory,
    Run,
    Scratch,
    SecretMount,
    SSHMount,
    TmpfsMount,
)
from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocibuild.graph import Mount, Vertex

_FORMAT = 2

ImageKey: TypeAlias = "Callable[[Image], str]"
ContentKey: TypeAlias = "Callable[[Copy, CopySource], Digest]"
RemoteKey: TypeAlias = "Callable[[HttpFile | GitTree], str]"
_Contents: TypeAlias = "Mapping[int, Digest]"


class Keys:
    """The keys of the vertices of one build; each is computed once.

    ``image`` names the tree of an image by its content (its chain ID), ``content`` digests the files that a COPY takes
    from a build context, ``remote`` names what a URL or a repository gives.
    """

    def __init__(self, image: ImageKey, content: ContentKey, remote: RemoteKey) -> None:
        self._image = image
        self._content = content
        self._remote = remote
        self._known: dict[int, Digest] = {}
        self._trees: dict[int, Digest] = {}
        self._contents: dict[tuple[int, int], Digest] = {}

    def compute(self, vertex: Vertex) -> None:
        """Compute the key of a vertex, after those of its inputs."""
        key = _digest(self._meaning(vertex))
        self._known[id(vertex)] = key
        # the key of a linked copy says nothing of what it lies on, but its tree holds that too
        if isinstance(vertex, Copy) and vertex.link:
            key = _digest(["linked", self._tree(vertex.base), key])
        self._trees[id(vertex)] = key

    def __getitem__(self, vertex: Vertex) -> Digest:
        """Return the key of a vertex, computed before."""
        return self._known[id(vertex)]

    def _tree(self, vertex: Vertex) -> Digest:
        """Return what names the whole tree of a vertex for those that stand on it or take from it."""
        return self._trees[id(vertex)]

    def by_content(self, vertex: Run | Copy | MakeDirectory, base: Sequence[Any], contents: _Contents) -> Digest:
        """Return the second key of a vertex: by what its inputs are, not by how they were made.

        ``base`` names the tree that it stands on; ``contents`` digests the files that it takes from other stages, by
        the place of the source in a COPY or of the mount in a RUN.
        """
        return _digest(["by content", *self._operation(vertex, ["tree", *base], contents)])

    def _meaning(self, vertex: Vertex) -> list[Any]:
        match vertex:
            case Scratch():
                return ["scratch"]
            case Image():
                return ["image", self._image(vertex)]
            case Context():
                return ["context", vertex.name]
            case Inline():
                return ["inline", [[file.name, Digest.of(file.content), file.mode] for file in vertex.files]]
            case HttpFile():
                return ["http", vertex.name, self._remote(vertex)]
            case GitTree():
                return ["git", self._remote(vertex)]
            case Run() | MakeDirectory() | Copy():
                return self._operation(vertex, self._tree(vertex.base), {})
            case _:
                assert_never(vertex)

    def _operation(self, vertex: Run | Copy | MakeDirectory, base: Any, contents: _Contents) -> list[Any]:
        match vertex:
            case Run():
                mounts = [self._mount(mount, contents.get(number)) for number, mount in enumerate(vertex.mounts)]
                return ["run", base, *_process(vertex), mounts]
            case MakeDirectory():
                return ["directory", base, vertex.path, vertex.user, vertex.time]
            case Copy():
                taken = [self._taken(vertex, number, contents.get(number)) for number in range(len(vertex.sources))]
                return ["copy", None if vertex.link else base, taken, *_copy_options(vertex)]
            case _:
                assert_never(vertex)

    def _taken(self, vertex: Copy, number: int, content: Digest | None) -> list[Any]:
        source = vertex.sources[number]
        if content is not None:
            return [content, source.unpack]
        if not isinstance(source.tree, Context):
            return [self._tree(source.tree), source.paths, source.unpack]
        if (id(vertex), number) not in self._contents:
            self._contents[id(vertex), number] = self._content(vertex, source)
        return [self._contents[id(vertex), number], source.unpack]

    def _mount(self, mount: Mount, content: Digest | None) -> list[Any]:
        match mount:
            case BindMount():
                return ["bind", mount.target, content or [self._tree(mount.source), mount.path], mount.read_only]
            case CacheMount():
                tree = [self._tree(mount.source), mount.path] if mount.source else None
                owner = [mount.mode, mount.uid, mount.gid]
                return ["cache", mount.target, mount.id, mount.sharing, content or tree, owner, mount.read_only]
            case TmpfsMount():
                return ["tmpfs", mount.target, mount.size, mount.read_only]
            case SecretMount():
                owner = [mount.mode, mount.uid, mount.gid]
                return ["secret", mount.target, mount.id, mount.env, mount.required, owner]
            case SSHMount():
                return ["ssh", mount.target, mount.id, mount.required, [mount.mode, mount.uid, mount.gid]]
            case _:
                assert_never(mount)


def _process(vertex: Run) -> list[Any]:
    where = [vertex.user, vertex.working_dir, vertex.hostname]
    foreign = [str(vertex.platform)] if vertex.platform else []
    return [vertex.args, vertex.env, *where, vertex.network, vertex.security, *foreign, *_resources(vertex)]


def _resources(vertex: Run) -> list[Any]:
    """Return what a step is given; as in BuildKit the names of hosts count, and not where they are today."""
    hosts = [host.name for host in vertex.extra_hosts]
    given = {"hosts": hosts, "shm": vertex.shm_size, "ulimits": vertex.ulimits}
    return [{name: value for name, value in given.items() if value}] if any(given.values()) else []


def _copy_options(vertex: Copy) -> list[Any]:
    mode = vertex.mode.text if vertex.mode else None
    return [vertex.destination, vertex.owner, mode, vertex.parents, vertex.exclude, vertex.link]


def _digest(meaning: list[Any]) -> Digest:
    return Digest.of(json.dumps([_FORMAT, meaning], separators=(",", ":")).encode("utf-8", "surrogatepass"))
