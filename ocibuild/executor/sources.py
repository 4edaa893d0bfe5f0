"""Where what a step is shown comes from, for executors that do not mount it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.fs import Root
from ocibuild.sandbox import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.sandbox import Tree


@contextmanager
def opened_source(mount: Tree) -> Iterator[tuple[Root, str]]:
    """Give the tree that a mount shows a part of, and the real name of that part; raise SandboxError without one."""
    assert isinstance(mount.tree, Folder)
    with Root.open(mount.tree.path) as tree:
        try:
            name = tree.resolve(mount.path)
            tree.lstat(name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SandboxError(f"mount at {mount.target}: its source has no {mount.path}") from error
        yield tree, name
