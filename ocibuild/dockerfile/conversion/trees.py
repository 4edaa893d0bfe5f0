"""The trees that stages stand on and take files from: images, build contexts, nothing; each is found once."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ocibuild import graph
from ocibuild.dockerfile.conversion.environment import DEFAULT_PATH
from ocibuild.dockerfile.conversion.options import GitContext, HttpContext, ImageContext, LocalFolder
from ocibuild.dockerfile.conversion.stages import ContextInput, ImageInput, ScratchInput
from ocibuild.oci import ImageConfig, Reference, RunConfig

if TYPE_CHECKING:
    from ocibuild.dockerfile.conversion.options import ImageResolver, Options, ResolvedBase
    from ocibuild.errors import SourceRange
    from ocibuild.oci import Platform

    Outside = ImageInput | ContextInput | ScratchInput

_SCRATCH = Reference.parse("scratch")
_HTTP_NAME = "context"


class Trees:
    """Gives the vertices of what lies outside of the Dockerfile, and asks for each image and platform once."""

    def __init__(self, options: Options, resolve: ImageResolver) -> None:
        self._platform = options.platform
        self._resolve = resolve
        self._resolved: dict[tuple[str, str], ResolvedBase] = {}
        self._contexts: dict[str, graph.Vertex] = {}
        self.main = graph.Context(origin=graph.Origin("[internal] load build context"))

    def config(self, source: Outside, platform: Platform | None) -> ImageConfig:
        """Return the config of an image; that of anything else has a PATH and a working directory."""
        reference = _image_of(source)
        if reference:
            return self._image(reference, platform).config
        settings = RunConfig(working_dir="/", env=(f"PATH={DEFAULT_PATH}",))
        return ImageConfig(platform=platform or self._platform, config=settings)

    def pinned(self, reference: Reference, platform: Platform | None) -> Reference:
        """Return ``reference`` with the digest that it leads to."""
        return reference.with_digest(self._image(reference, platform).digest)

    def tree(
        self, source: Outside, platform: Platform | None, location: SourceRange, *, label: str | None = None
    ) -> graph.Vertex:
        """Return the tree of ``source`` as files are taken from it, with a ``label`` for an image that has its own."""
        match source:
            case ImageInput(reference):
                label = label or f"FROM {self.pinned(reference, platform)}"
                return self._image_vertex(reference, platform, graph.Origin(label, location))
            case ContextInput():
                return self._context(source, platform, location)
            case ScratchInput():
                return graph.Scratch(graph.Origin("", location))
            case _:
                assert_never(source)

    def base(
        self, source: Outside, platform: Platform | None, location: SourceRange, *, label: str | None = None
    ) -> graph.Vertex:
        """Return the tree of ``source`` as a stage stands on it: the files of a build context make a layer."""
        tree = self.tree(source, platform, location, label=label)
        if isinstance(tree, graph.Image | graph.Scratch | graph.Copy):
            return tree
        return _layer(graph.CopySource(tree, (".",)))

    def _context(self, source: ContextInput, platform: Platform | None, location: SourceRange) -> graph.Vertex:
        name, context = source.name, source.context
        match context:
            case ImageContext(reference) if reference == _SCRATCH:
                return graph.Scratch(graph.Origin("", location))
            case ImageContext(reference):
                label = f"[context {name}] {self.pinned(reference, platform)}"
                return self._image_vertex(reference, platform, graph.Origin(label, location))
            case LocalFolder():
                vertex: graph.Vertex = graph.Context(name, graph.Origin(f"[context {name}] load from client", location))
            case GitContext(git):
                origin = graph.Origin(f"[internal] load git source {git.shown}", location)
                vertex = graph.GitTree(git, bool(git.keep_git_dir), git.commit, origin)
            case HttpContext(url):
                file = graph.HttpFile(
                    url, _HTTP_NAME, origin=graph.Origin(f"[context {name}] {graph.shown_url(url)}", location)
                )
                vertex = _layer(graph.CopySource(file, (_HTTP_NAME,), unpack=True))
            case _:
                assert_never(context)
        return self._contexts.setdefault(name, vertex)

    def _image(self, reference: Reference, platform: Platform | None) -> ResolvedBase:
        wanted = platform or self._platform
        key = (str(reference), str(wanted))
        if key not in self._resolved:
            self._resolved[key] = self._resolve(reference, wanted)
        return self._resolved[key]

    def _image_vertex(self, reference: Reference, platform: Platform | None, origin: graph.Origin) -> graph.Image:
        digest = self._image(reference, platform).digest
        return graph.Image(reference, platform or self._platform, digest, origin)


def _layer(source: graph.CopySource) -> graph.Copy:
    return graph.Copy(graph.Scratch(), (source,), "/", origin=source.tree.origin)


def _image_of(source: Outside) -> Reference | None:
    """Return the image that ``source`` is, None where it is something else."""
    match source:
        case ImageInput(reference):
            return reference
        case ContextInput(_, ImageContext(reference)) if reference != _SCRATCH:
            return reference
        case _:
            return None
