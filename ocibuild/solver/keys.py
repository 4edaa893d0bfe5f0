"""Cache keys: a digest of what an operation means, together with the keys of its inputs.

Times, the machine's paths, secrets and hidden environment never enter. ``_FORMAT`` changes whenever the meaning of a
key or of what is stored under it does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from ocibuild.graph import Context, Copy, Image, MakeDirectory, Run, Scratch
from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.graph import Vertex

_FORMAT = 1

ImageKey: TypeAlias = "Callable[[Image], str]"
ContentKey: TypeAlias = "Callable[[Copy], Digest]"


class Keys:
    """The keys of the vertices of one build; each is computed once.

    ``image`` names the tree of an image by its content (its chain ID), ``content`` digests the files that a COPY takes
    from a build context.
    """

    def __init__(self, image: ImageKey, content: ContentKey) -> None:
        self._image = image
        self._content = content
        self._known: dict[int, Digest] = {}
        self._contents: dict[int, Digest] = {}

    def compute(self, vertex: Vertex) -> None:
        """Compute the key of a vertex, after those of its inputs."""
        self._known[id(vertex)] = _digest(self._meaning(vertex))

    def __getitem__(self, vertex: Vertex) -> Digest:
        """Return the key of a vertex, computed before."""
        return self._known[id(vertex)]

    def by_content(self, vertex: Run | Copy | MakeDirectory, base: Sequence[Any], content: Digest | None) -> Digest:
        """Return the second key of a vertex: by what its inputs are, not by how they were made.

        ``base`` names the tree that it stands on; ``content`` digests the files that a COPY takes from another stage.
        """
        return _digest(["by content", *self._operation(vertex, ["tree", *base], content)])

    def _meaning(self, vertex: Vertex) -> list[Any]:
        match vertex:
            case Scratch():
                return ["scratch"]
            case Image():
                return ["image", self._image(vertex)]
            case Context():
                return ["context", vertex.name]
            case Run() | MakeDirectory() | Copy():
                return self._operation(vertex, self[vertex.base], None)
            case _:
                assert_never(vertex)

    def _operation(self, vertex: Run | Copy | MakeDirectory, base: Any, content: Digest | None) -> list[Any]:
        match vertex:
            case Run():
                return ["run", base, *_process(vertex)]
            case MakeDirectory():
                return ["directory", base, vertex.path, vertex.user]
            case Copy(source=Context()):
                return ["copy", base, self._content_of(vertex), *_copy_options(vertex)]
            case Copy():
                return ["copy", base, content or [self[vertex.source], vertex.paths], *_copy_options(vertex)]
            case _:
                assert_never(vertex)

    def _content_of(self, vertex: Copy) -> Digest:
        if id(vertex) not in self._contents:
            self._contents[id(vertex)] = self._content(vertex)
        return self._contents[id(vertex)]


def _process(vertex: Run) -> list[Any]:
    return [vertex.args, vertex.env, vertex.user, vertex.working_dir, vertex.network]


def _copy_options(vertex: Copy) -> list[Any]:
    return [vertex.destination, vertex.owner, vertex.mode, vertex.unpack]


def _digest(meaning: list[Any]) -> Digest:
    return Digest.of(json.dumps([_FORMAT, meaning], separators=(",", ":")).encode("utf-8", "surrogatepass"))
