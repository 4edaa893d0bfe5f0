"""Who has which tree: who writes has it alone, who only reads shares it, and it moves on with what is written.

A tree stands at a stack of snapshots, known by their numbers. Whoever wants a stack where no tree stands gets one that
stands on a part of it, from the bottom up, and lacks only the rest; or else a new one.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.layer.materialise import materialise
from ocibuild.rootfs.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocibuild.store import HeldTree, Snapshot, Trees


class Tree:
    """A tree at a stack of snapshots, by their numbers."""

    def __init__(self, held: HeldTree) -> None:
        self.path = held.path
        self.stack: tuple[int, ...] = ()
        self._held = held
        self._index: Index | None = None
        # the pool's: how many read it, whether somebody has it alone, and what it is being made for readers of
        self.readers = 0
        self.is_taken = False
        self.coming: tuple[int, ...] | None = None

    @property
    def index(self) -> Index:
        """The tree as it is, looked at when first asked for; whoever changes the tree keeps it true."""
        if self._index is None:
            self._index = Index()
            self._index.update(self.path)
        return self._index

    def refresh(self, names: Iterable[str]) -> None:
        """Take these entries for unchanged: an index that is made only later sees them as they are anyway."""
        if self._index is not None:
            self._index.refresh(self.path, names)

    def reach(self, stack: Sequence[Snapshot]) -> None:
        """Bring it to a stack that begins with its own."""
        missing = stack[len(self.stack) :]
        if missing:
            self._index = None
            materialise([snapshot.path for snapshot in missing], self.path)
            self.stack = _numbers(stack)

    def remove(self) -> None:
        """Remove it."""
        self._held.remove()


class TreePool:
    """The trees of one build; for threads. ``_changed`` guards the list, and who has which tree."""

    def __init__(self, trees: Trees) -> None:
        self._made = trees
        self._changed = threading.Condition()
        self._trees: list[Tree] = []

    def close(self) -> None:
        """Remove all trees."""
        with self._changed:
            trees, self._trees = self._trees, []
        for tree in trees:
            tree.remove()

    @contextmanager
    def shared(self, stack: Sequence[Snapshot]) -> Iterator[Tree]:
        """Give a tree of ``stack`` that nobody changes meanwhile."""
        tree = self._share(stack)
        try:
            yield tree
        finally:
            with self._changed:
                tree.readers -= 1

    @contextmanager
    def taken(self, stack: Sequence[Snapshot], number: int | None) -> Iterator[Tree]:
        """Give a tree of ``stack`` to change; afterwards it stands one further, at the snapshot ``number``.

        It is thrown away where the block raises anything, or where ``number`` is None.
        """
        with self._changed:
            tree = self._claim(_numbers(stack))
        try:
            tree.reach(stack)
            yield tree
        except BaseException:
            self._discard(tree)
            raise
        if number is None:
            self._discard(tree)
            return
        with self._changed:
            tree.stack = (*tree.stack, number)
            tree.is_taken = False

    def idle_at(self, stack: tuple[int, ...]) -> Tree | None:
        """Return a tree that stands at a stack of which nobody else knows yet."""
        with self._changed:
            return next((tree for tree in self._trees if tree.stack == stack and not tree.is_taken), None)

    def _share(self, stack: Sequence[Snapshot]) -> Tree:
        numbers = _numbers(stack)
        with self._changed:
            while any(tree.coming == numbers for tree in self._trees):
                self._changed.wait()
            for tree in self._trees:
                if tree.stack == numbers and not tree.is_taken:
                    tree.readers += 1
                    return tree
            tree = self._claim(numbers)
            tree.coming = numbers
        try:
            tree.reach(stack)
        except BaseException:
            self._discard(tree)
            raise
        with self._changed:
            tree.readers, tree.is_taken, tree.coming = 1, False, None
            self._changed.notify_all()
        return tree

    def _claim(self, numbers: tuple[int, ...]) -> Tree:
        """Take the idle tree that is nearest to a stack, or a new one."""
        idle = [
            tree
            for tree in self._trees
            if not tree.is_taken and not tree.readers and numbers[: len(tree.stack)] == tree.stack
        ]
        if idle:
            tree = max(idle, key=lambda one: len(one.stack))
        else:
            tree = Tree(self._made.begin())
            self._trees.append(tree)
        tree.is_taken = True
        return tree

    def _discard(self, tree: Tree) -> None:
        with self._changed:
            tree.coming = None
            if tree in self._trees:
                self._trees.remove(tree)
            self._changed.notify_all()
        tree.remove()


def _numbers(stack: Sequence[Snapshot]) -> tuple[int, ...]:
    return tuple(snapshot.id for snapshot in stack)
