"""Processes run under proot."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.errors import CannotStart, Interrupted, SandboxError
from ocibuild.executor.chroot import Prepared, SpawnedExecutor, network_files
from ocibuild.executor.foreign import as_it_is, find_emulator
from ocibuild.executor.placing import placing
from ocibuild.executor.proot.program import LOADER, NO_SECCOMP, SCRATCH, try_proot
from ocibuild.executor.proot.view import View, is_program
from ocibuild.executor.refusals import refuse_unshared
from ocibuild.fs import Root
from ocibuild.sandbox import Folder, ProgramSpec, not_on_path, user_of_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.executor.process import Process
    from ocibuild.executor.proot.program import Proot
    from ocibuild.oci import Platform
    from ocibuild.sandbox import EntrySpec, RootTree, Spawner

_SYSTEM = ("/proc", "/sys", "/dev")


class ProotExecutor(SpawnedExecutor):
    """Runs processes under proot, through a spawner without namespaces; ``warn`` hears what it cannot offer, once.

    All is done as who we are: a supervisor has the processes believe that they are others, and records owners. So a
    process that becomes another can still be followed by proot, which without CAP_SYS_PTRACE not even root's could.
    """

    def __init__(self, spawner: Spawner, path: str, warn: Callable[[str], None] = lambda _text: None) -> None:
        super().__init__(spawner, warn)
        self._path = path
        self._proot: Proot | None = None
        self._trying = threading.Lock()

    @contextmanager
    def prepared(self, process: Process, root: RootTree, scratch: str) -> Iterator[Prepared]:
        """See SpawnedExecutor."""
        refuse_unshared(process, where="proot")
        emulator = _emulator(process.platform)
        assert isinstance(root, Folder)
        proot = self._tried(scratch)
        touched: list[str] = []
        with placing(root.path, scratch, touched) as placer:
            view = View(placer, scratch)
            view.show_system()
            for mount in (*network_files(scratch, process), *process.mounts):
                view.show(mount)
            of_proot = _own_environment(proot, view)

            def spec_of(process: Process, size: tuple[int, int] = (0, 0), *, is_first: bool = True) -> ProgramSpec:
                with Root.open(root.path) as tree:  # anew: processes change it
                    user = user_of_image(process.user, lambda path: tree.open_file(tree.resolve(path)))
                    view.go_to(tree, process.working_dir, make=is_first)
                    command, report = view.reporting(tree, _located(tree, process))
                options = [*emulator, "-r", root.path, "-w", process.working_dir, *view.options()]
                return ProgramSpec(
                    proot.path,
                    [proot.path, "-v", "-1", *options, *command],
                    {"HOME": user.home or "/", **_variables(process), **of_proot},
                    "/",
                    proot.unknown,
                    folder=root.path,
                    believes=user,
                    report=report,
                    ulimits=process.ulimits,
                    terminal=process.terminal,
                    size=size,
                )

            def beside(asked: EntrySpec) -> ProgramSpec:
                settings = asked.settings()
                size = settings.pop("size")
                return spec_of(replace(process, **settings), size, is_first=False)

            yield Prepared(spec_of(process), touched, beside)

    def _tried(self, scratch: str) -> Proot:
        with self._trying:
            if self._proot is None:
                try:
                    self._proot = try_proot(self._path, self.started, scratch)
                except SandboxError:
                    if self.stopped:  # it was ended, whatever that looked like
                        raise Interrupted from None
                    raise
            return self._proot


def _own_environment(proot: Proot, view: View) -> dict[str, str]:
    """Return what proot reads in the environment of a process."""
    return {
        NO_SECCOMP: "1",
        SCRATCH: view.new_folder("scratch", 0o1777),
        LOADER: view.write("loader", proot.loader, 0o755),
    }


def _variables(process: Process) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in process.env)


def _emulator(platform: Platform | None) -> Sequence[str]:
    """Return proot's option for what runs the programs of ``platform``, nothing where this machine does.

    Raises CannotStart where there is no such emulator.
    """
    foreign = as_it_is(platform)
    if platform is None or foreign is None or foreign.short:
        return ()
    path = find_emulator(platform, os.get_exec_path())
    if path is None:
        raise CannotStart(
            f"this machine runs no programs for {foreign.platform}", exit_status=126, remedy=foreign.remedy
        )
    return "-q", path


def _located(tree: Root, process: Process) -> list[str]:
    """Return the arguments with the program's path, which is no name that means something to a shell.

    Raises CannotStart where no folder of PATH has it: proot says so in words of its own.
    """
    if not process.args:
        raise SandboxError("there is no command to run")
    name, *others = process.args
    folders = next((entry[5:] for entry in process.env if entry.startswith("PATH=")), "").split(":")
    if "/" in name:
        _refuse_missing(tree, process, name)
        return [name, *others]
    found = [f"{folder}/{name}" for folder in folders if folder and is_program(tree, f"{folder}/{name}")]
    if found:
        return [found[0], *others]
    if any(_is_mounted(process, folder) for folder in folders):
        return [name, *others]
    raise not_on_path(name)


def _refuse_missing(tree: Root, process: Process, name: str) -> None:
    """Raise CannotStart where there is no such program: proot, or a shell that waits for it, would only fail later."""
    path = os.path.join(process.working_dir, name)
    if _is_mounted(process, path) or is_program(tree, path):
        return
    try:
        tree.lstat(tree.resolve(path))
    except FileNotFoundError as error:
        raise CannotStart(f"{name}: {error.strerror}", exit_status=127) from error
    except OSError as error:
        raise CannotStart(f"{name}: {error.strerror}", exit_status=126) from error
    raise CannotStart(f"{name}: {os.strerror(errno.EACCES)}", exit_status=126)


def _is_mounted(process: Process, path: str) -> bool:
    """Tell whether ``path`` is in what is shown there, and not in the tree."""
    return any(f"{path}/".startswith(f"{target}/") for target in (*_SYSTEM, *(one.target for one in process.mounts)))
