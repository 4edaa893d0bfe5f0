"""Cache keys: a digest of what an operation means, together with the keys of its inputs.

What it means is a mapping with names, its inputs: they are what a miss is explained by, and the key is the digest of
their canonical JSON. Times, the machine's paths, secrets and hidden environment never enter. ``_FORMAT`` changes
whenever the meaning of a key or of what is stored under it does.
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

_FORMAT = b"4 "
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

Inputs: TypeAlias = dict[str, Any]
"""What an operation means, as values that JSON has; what has its usual value may be missing."""
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
        key = key_of(self.inputs(vertex))
        self._known[id(vertex)] = key
        # the key of a linked copy says nothing of what it lies on, but its tree holds that too
        if isinstance(vertex, Copy) and vertex.link:
            key = key_of({"kind": "linked", "base": self._tree(vertex.base), "link": key})
        self._trees[id(vertex)] = key

    def __getitem__(self, vertex: Vertex) -> Digest:
        """Return the key of a vertex, computed before."""
        return self._known[id(vertex)]

    def _tree(self, vertex: Vertex) -> Digest:
        """Return what names the whole tree of a vertex for those that stand on it or take from it."""
        return self._trees[id(vertex)]

    def inputs_by_content(
        self, vertex: Run | Copy | MakeDirectory, stack: Sequence[str], contents: _Contents
    ) -> Inputs:
        """Return what a vertex means by what its inputs are, not by how they were made: its second key is of that.

        ``stack`` names the tree that it stands on, of which a linked copy has none; ``contents`` digests the files that
        it takes from other stages, by the place of the source in a COPY or of the mount in a RUN.
        """
        return self._operation(vertex, {"stack": list(stack)}, contents)

    def contents(self, vertex: Copy) -> list[tuple[CopySource, Digest]]:
        """Return the sources of a COPY that are in build contexts, with the digests that its key has of their files."""
        numbered = ((source, self._contents.get((id(vertex), n))) for n, source in enumerate(vertex.sources))
        return [(source, digest) for source, digest in numbered if digest is not None]

    def inputs(self, vertex: Vertex) -> Inputs:
        """Return what a vertex means, once the keys of those that it needs are computed."""
        match vertex:
            case Scratch():
                return {"kind": "scratch"}
            case Image():
                return {"kind": "image", "layers": self._image(vertex)}
            case Context():
                return {"kind": "context", "name": vertex.name}
            case Inline():
                files = [[file.name, Digest.of(file.content), file.mode] for file in vertex.files]
                return {"kind": "inline", "files": files}
            case HttpFile():
                return {"kind": "http", "name": vertex.name, "content": self._remote(vertex)}
            case GitTree():
                return {"kind": "git", "content": self._remote(vertex)}
            case Run() | MakeDirectory() | Copy():
                return self._operation(vertex, self._below(vertex), {})
            case _:
                assert_never(vertex)

    def _below(self, vertex: Run | Copy | MakeDirectory) -> Inputs:
        if isinstance(vertex, Copy) and vertex.link:
            return {}
        name = "parent" if isinstance(vertex.base, Run | Copy | MakeDirectory) else "base"
        return {name: self._tree(vertex.base)}

    def _operation(self, vertex: Run | Copy | MakeDirectory, below: Inputs, contents: _Contents) -> Inputs:
        match vertex:
            case Run():
                mounts = [self._mount(mount, contents.get(number)) for number, mount in enumerate(vertex.mounts)]
                return {"kind": "run", **below, **_process(vertex), "mounts": mounts}
            case MakeDirectory():
                time = {} if vertex.time is None else {"time": vertex.time}
                return {"kind": "directory", **below, "path": vertex.path, **_given(user=vertex.user), **time}
            case Copy():
                taken = [self._taken(vertex, number, contents.get(number)) for number in range(len(vertex.sources))]
                return {"kind": "copy", **below, "sources": taken, **_copy_options(vertex)}
            case _:
                assert_never(vertex)

    def _taken(self, vertex: Copy, number: int, content: Digest | None) -> Inputs:
        source = vertex.sources[number]
        unpack = _given(unpack=source.unpack)
        if content is not None:
            return {"content": content, **unpack}
        if not isinstance(source.tree, Context):
            return {"tree": self._tree(source.tree), "paths": source.paths, **unpack}
        if (id(vertex), number) not in self._contents:
            self._contents[id(vertex), number] = self._content(vertex, source)
        return {"context": self._contents[id(vertex), number], **unpack}

    def _mount(self, mount: Mount, content: Digest | None) -> Inputs:
        match mount:
            case BindMount():
                shown = self._shown(mount.source, mount.path, content)
                return {"type": "bind", "target": mount.target, **shown, **_given(read_only=mount.read_only)}
            case CacheMount():
                shown = self._shown(mount.source, mount.path, content) if mount.source else {}
                options = {"id": mount.id, "sharing": mount.sharing, "owner": [mount.mode, mount.uid, mount.gid]}
                return {
                    "type": "cache", "target": mount.target, **options, **shown, **_given(read_only=mount.read_only)
                }  # fmt: skip
            case TmpfsMount():
                size = {} if mount.size is None else {"size": mount.size}
                return {"type": "tmpfs", "target": mount.target, **size, **_given(read_only=mount.read_only)}
            case SecretMount():
                owner = [mount.mode, mount.uid, mount.gid]
                where = _given(target=mount.target, env=mount.env, required=mount.required)
                return {"type": "secret", "id": mount.id, "owner": owner, **where}
            case SSHMount():
                owner = [mount.mode, mount.uid, mount.gid]
                where = _given(target=mount.target, required=mount.required)
                return {"type": "ssh", "id": mount.id, "owner": owner, **where}
            case _:
                assert_never(mount)

    def _shown(self, tree: Vertex, path: str, content: Digest | None) -> Inputs:
        return {"content": content} if content else {"tree": self._tree(tree), "path": path}


def key_of(inputs: Inputs) -> Digest:
    """Return the key of an operation with these inputs."""
    return Digest.of(_FORMAT + canonical(inputs).encode())


def canonical(inputs: Inputs) -> str:
    """Return the one text of some inputs: JSON in ASCII, its names sorted, without spaces."""
    return _encode(inputs)


def _process(vertex: Run) -> Inputs:
    inputs: Inputs = {
        "command": vertex.args,
        "environment": vertex.env,
        "user": vertex.user,
        "directory": vertex.working_dir,
        "hostname": vertex.hostname,
        "network": vertex.network,
        "security": vertex.security,
    }
    if vertex.platform:
        inputs["platform"] = str(vertex.platform)
    if vertex.extra_hosts or vertex.shm_size or vertex.ulimits:
        # as in BuildKit the names of hosts count, and not where they are today
        hosts = [host.name for host in vertex.extra_hosts]
        inputs.update(_given(hosts=hosts, shm=vertex.shm_size, ulimits=vertex.ulimits))
    return inputs


def _copy_options(vertex: Copy) -> Inputs:
    mode = vertex.mode.text if vertex.mode else None
    flags = _given(parents=vertex.parents, exclude=vertex.exclude, link=vertex.link)
    return {"destination": vertex.destination, "owner": vertex.owner, "mode": mode, **flags}


def _given(**values: Any) -> Inputs:
    """Return those that are not empty, which is the usual value of each."""
    return {name: value for name, value in values.items() if value}
