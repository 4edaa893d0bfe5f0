"""What a COPY or a mount takes: files of a build context, of the tree of another stage, or made for it alone."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.graph import Context, Copy, GitTree, HttpFile, Inline
from ocibuild.source import content_digest, owned_by_root, select, walk
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import CopySource, MakeDirectory, Run, Vertex
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Digest
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.source import Exclusion, Found, Owner, Selected
    from ocibuild.store import Snapshot


@dataclass(frozen=True, slots=True)
class Sources:
    """``selected`` of the tree ``root``, without what is ``excluded``; ``owner`` tells whose each file is.

    ``exclude`` are the patterns of ``--exclude``. Extended attributes come from images alone: those of a build context
    are of the machine that it lies on, and docker loses even capabilities on their way.
    """

    root: Root
    selected: Sequence[Selected]
    owner: Owner
    exclude: Sequence[str] = ()
    excluded: Exclusion | None = None
    is_image: bool = False

    def below(self, selected: Selected) -> Iterator[Found]:
        """Yield one of ``selected`` itself, and what is taken below it."""
        return walk(self.root, selected, excluded=self.excluded, exclude=self.exclude)

    def digest(self, inputs: Inputs, kept: list[bytes] | None = None) -> Digest:
        """Return the digest of the names, owners, modes and contents of all files; see ``content_digest()``."""
        return content_digest(
            self.root,
            self.selected,
            excluded=self.excluded,
            exclude=self.exclude,
            owner=self.owner,
            xattrs=self.xattrs,
            cache=inputs.store.files,
            kept=kept,
        )

    def xattrs(self, fd: int) -> dict[str, bytes]:
        """Return the extended attributes that a copy of an open file gets."""
        if not self.is_image:
            return {}
        from ocibuild.layer.xattrs import read_xattrs

        return read_xattrs(fd)


class _Manner(NamedTuple):
    """How the paths of a source are meant; ``literal`` is without wildcards."""

    parents: bool = False
    literal: bool = False
    exclude: tuple[str, ...] = ()


def _manner(vertex: Copy | Run | MakeDirectory, source: CopySource) -> _Manner:
    """Only what a Dockerfile names in a context or stage has patterns, not what a mount or a URL does."""
    if not isinstance(vertex, Copy):
        return _Manner(literal=True)
    if isinstance(source.tree, Inline | HttpFile | GitTree):
        return _Manner(literal=True, exclude=vertex.exclude)
    return _Manner(parents=vertex.parents, exclude=vertex.exclude)


@contextmanager
def opened(
    shop: Workshop,
    inputs: Inputs,
    vertex: Copy,
    source: CopySource,
    stack_of: Callable[[Vertex], Sequence[Snapshot]],
) -> Iterator[Sources]:
    """Give what ``source`` of ``vertex`` takes; raise SourceError where something is not there."""
    if isinstance(source.tree, Context):
        with _in_context(inputs, source.tree, source, _manner(vertex, source)) as sources:
            yield sources
    else:
        with _in_stage(shop, source, _manner(vertex, source), stack_of(source.tree)) as sources:
            yield sources


@contextmanager
def _in_context(inputs: Inputs, tree: Context, source: CopySource, manner: _Manner) -> Iterator[Sources]:
    with inputs.contexts[tree.name].again() as context:  # each is for one thread
        selected = context.select(source.paths, parents=manner.parents, literal=manner.literal)
        yield Sources(context.root, selected, owned_by_root, manner.exclude, context.excluded)


@contextmanager
def _in_stage(shop: Workshop, source: CopySource, manner: _Manner, stack: Sequence[Snapshot]) -> Iterator[Sources]:
    with shop.snapshotter.reading(stack) as root:
        selected = select(root, source.paths, what="the stage", parents=manner.parents, literal=manner.literal)
        yield Sources(root, selected, owner_in(root, shop.ownership), manner.exclude, is_image=True)


def owner_in(root: Root, ownership: Ownership) -> Owner:
    """Return what tells the owner and mode of a file of ``root``, as ``ownership`` has put them there."""

    def owner(path: str, status: os.stat_result) -> tuple[int, int, int]:
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            nature = ownership.read(path, status)  # what can only be looked at carries no record
        else:
            fd = root.open_file(path or ".")
            try:
                nature = ownership.read(fd, status)
            finally:
                os.close(fd)
        return nature.uid, nature.gid, nature.mode

    return owner


def context_digest(inputs: Inputs, vertex: Copy, source: CopySource, *, names: list[str], kept: list[bytes]) -> Digest:
    """Return the digest of what a COPY takes from a build context; ``names`` and ``kept`` are for ``listing()``."""
    assert isinstance(source.tree, Context)
    with _in_context(inputs, source.tree, source, _manner(vertex, source)) as sources:
        names.extend(selected.name for selected in sources.selected)
        return sources.digest(inputs, kept)


def stage_digest(
    shop: Workshop,
    inputs: Inputs,
    source: CopySource,
    vertex: Copy | Run | MakeDirectory,
    stack: Sequence[Snapshot],
) -> Digest:
    """Return the digest of what a COPY or a mount takes from the tree ``stack``."""
    with _in_stage(shop, source, _manner(vertex, source), stack) as sources:
        return sources.digest(inputs)
