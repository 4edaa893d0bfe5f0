"""What a COPY takes: files of a build context, or of the tree of another stage."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.graph import Context
from ocibuild.source import content_digest, owned_by_root, select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.fs import Root
    from ocibuild.graph import Copy
    from ocibuild.layer import Ownership
    from ocibuild.oci import Digest
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.source import Exclusion, Owner, Selected
    from ocibuild.store import Snapshot

_CAPABILITY = "security.capability"


@dataclass(frozen=True, slots=True)
class Sources:
    """``selected`` of the tree ``root``, without what is ``excluded``; ``owner`` tells whose each file is.

    Of a build context's extended attributes only capabilities count: the others are of the machine that it lies on.
    """

    root: Root
    selected: Sequence[Selected]
    owner: Owner
    excluded: Exclusion | None = None
    is_image: bool = False

    def digest(self, inputs: Inputs) -> Digest:
        """Return the digest of the names, owners, modes and contents of all files."""
        return content_digest(
            self.root, self.selected, excluded=self.excluded, owner=self.owner, cache=inputs.store.files
        )

    def xattrs(self, fd: int) -> dict[str, bytes]:
        """Return the extended attributes that a copy of an open file gets."""
        from ocibuild.layer import read_xattrs

        return {key: value for key, value in read_xattrs(fd).items() if self.is_image or key == _CAPABILITY}


@contextmanager
def context_sources(inputs: Inputs, vertex: Copy) -> Iterator[Sources]:
    """Give what a COPY takes from a build context; raise SourceError where something is not there."""
    assert isinstance(vertex.source, Context)
    with inputs.contexts[vertex.source.name].again() as context:  # each is for one thread
        yield Sources(context.root, context.select(vertex.paths), owned_by_root, context.excluded)


@contextmanager
def stage_sources(shop: Workshop, vertex: Copy, stack: Sequence[Snapshot]) -> Iterator[Sources]:
    """Give what a COPY takes from the tree ``stack``; raise SourceError where something is not there."""
    with shop.snapshotter.reading(stack) as root:
        yield Sources(root, select(root, vertex.paths, what="the stage"), owner_in(root, shop.ownership), is_image=True)


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


def context_digest(inputs: Inputs, vertex: Copy) -> Digest:
    """Return the digest of what a COPY takes from a build context."""
    with context_sources(inputs, vertex) as sources:
        return sources.digest(inputs)
