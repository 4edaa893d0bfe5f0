"""A RUN that has failed, with its tree and all that was mounted there as it left them: to be looked at by its user."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import CannotStart
from ocibuild.fs import Root
from ocibuild.sandbox import Folder, Overlay, Tree
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.errors import OcibuildError
    from ocibuild.executor import Executor, Process
    from ocibuild.graph import Run
    from ocibuild.sandbox import Mount, RootTree

_SHELLS = (("/bin/sh",), ("/bin/bash",))
_TERM = "TERM=xterm"  # as `run -t` has it


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left of a step; ``error`` is what it failed with.

    ``root`` and the mounts of ``process`` are there until whoever was given this returns, and ``scratch`` has room for
    folders beside.
    """

    vertex: Run
    error: OcibuildError
    process: Process
    root: RootTree
    scratch: str

    def open_shell(self, executor: Executor, terminal: int) -> None:
        """Run a shell in the tree, on our standard input and the stream ``terminal``, whatever its end.

        It is the one that the step's command was given to, or else one of the usual ones. Raises CannotStart where
        there is none, and what else ``run_attached`` does.
        """
        for shell in self.shells():
            try:
                executor.run_attached(*self._attached(shell), shown_on=terminal)
            except CannotStart as error:
                if error.exit_status not in (126, 127):
                    raise
            else:
                return
        raise CannotStart(f"neither {' nor '.join(shell[0] for shell in _SHELLS)} is there", exit_status=127)

    def shells(self) -> list[tuple[str, ...]]:
        """Return the shells that there may be, the likeliest first."""
        wanted = dict.fromkeys(filter(None, (_without_options(self.vertex.shell), *_SHELLS)))
        return [shell for shell in wanted if not isinstance(self.root, Folder) or self._has(self.root, shell[0])]

    def _has(self, root: Folder, program: str) -> bool:
        """Tell whether a program may be there: not every executor says so of one that is not."""
        if "/" not in program or any(program.startswith(f"{mount.target}/") for mount in self.process.mounts):
            return True
        with Root.open(root.path) as tree:
            try:
                tree.lstat(tree.resolve(program))
            except OSError:
                return False
        return True

    def _attached(self, shell: tuple[str, ...]) -> tuple[Process, RootTree, str]:
        folder = self._new_folder()
        env = self.process.env
        if not any(entry.startswith("TERM=") for entry in env):
            env = (*env, _TERM)
        mounts = tuple(map(self._again, self.process.mounts))
        process = replace(self.process, args=shell, env=env, mounts=mounts, interactive=True, terminal=True)
        return process, self._tree_again(self.root), folder

    def _again(self, mount: Mount) -> Mount:
        return mount._replace(tree=self._tree_again(mount.tree)) if isinstance(mount, Tree) else mount

    def _tree_again(self, tree: RootTree) -> RootTree:
        """Return what shows the same tree once more: overlayfs refuses a work directory that it has used."""
        if isinstance(tree, Overlay) and tree.upper is not None:
            return tree._replace(work=self._new_folder())
        return tree

    def _new_folder(self) -> str:
        folder = os.path.join(self.scratch, f"aftermath-{len(os.listdir(self.scratch))}")
        os.mkdir(folder)
        return folder


def _without_options(shell: tuple[str, ...]) -> tuple[str, ...]:
    """Return a shell as it is when it is typed at, not given a command: ``/bin/bash`` of ``/bin/bash -ec``."""
    end = next((place for place, word in enumerate(shell) if word.startswith("-")), len(shell))
    return shell[:end]
