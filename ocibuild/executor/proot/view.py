"""What a step under proot sees."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import SandboxError
from ocibuild.executor.chroot import DEVICES, LINKS
from ocibuild.executor.proot.program import LOADER, NO_SECCOMP, SCRATCH
from ocibuild.executor.sources import opened_source
from ocibuild.sandbox import Bind, FileSystem, Folder, Secret, Sysfs, Tmpfs, Tree, no_directory

if TYPE_CHECKING:
    from ocibuild.executor.placing import Placer
    from ocibuild.fs import Root
    from ocibuild.sandbox import Mount

_REPORT = "ocibuild-status"


class View:
    """What a step sees beside its tree: pairs of a path of the machine and one in the tree."""

    def __init__(self, placer: Placer, scratch: str) -> None:
        self._placer = placer
        self._folder = os.path.join(scratch, "proot")
        os.mkdir(self._folder, 0o711)
        os.chmod(self._folder, 0o711)  # whatever our umask: other users of the step go through it
        self._shown: dict[str, str] = {}
        self._ours: set[str] = set()  # targets of directories that we may make something in

    def options(self) -> list[str]:
        """Return proot's options for all that is shown."""
        for pair in self._shown.items():
            if ":" in "".join(pair):
                raise SandboxError(f"mount at {pair[0]}: proot takes no colon in {' or '.join(pair)}")
        return [option for target, source in self._shown.items() for option in ("-b", f"{source}:{target}")]

    def reporting(self, tree: Root, args: list[str]) -> tuple[list[str], str | None]:
        """Return what runs a program and tells its status, with the FIFO that hears it.

        proot itself ends with the last of its processes, and with the status of that. Where the tree has no shell to
        wait for the program, that has to do.
        """
        if not is_program(tree, "/bin/sh"):
            return args, None
        name = f"{_REPORT}-{os.urandom(8).hex()}"  # which nobody has taken
        report = os.path.join(self._shown["/dev"], name)
        os.mkfifo(report, 0o600)
        script = f'unset {LOADER} {NO_SECCOMP} {SCRATCH}; "$@"; echo $? >/dev/{name}'
        return ["/bin/sh", "-c", script, "sh", *args], report

    def write(self, name: str, content: bytes, mode: int) -> str:
        """Write a file of ours; return its path."""
        path = os.path.join(self._folder, name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
        return path

    def show_system(self) -> None:
        """Show /proc and /sys, and a /dev with the usual nodes."""
        for name in ("/proc", "/sys"):
            self._shown[name] = name
        dev = self.new_folder("dev", 0o755)
        for target, path in LINKS:
            os.symlink(target, os.path.join(dev, os.path.basename(path)))
        os.mkdir(os.path.join(dev, "shm"))
        os.chmod(os.path.join(dev, "shm"), 0o1777)
        self._shown["/dev"] = dev
        self._ours.add("/dev")
        for name in DEVICES:
            self._add(f"/dev/{name}", f"/dev/{name}", folder=False)
        if os.path.isdir("/dev/pts"):
            self._add("/dev/pts", "/dev/pts", folder=True)

    def show(self, mount: Mount) -> None:
        """Show what a mount shows."""
        name = f"mount-{len(self._shown)}"
        match mount:
            case Bind(source, target):
                self._add(target, source, folder=os.path.isdir(source))
            case Tree(target=target):
                source = _path_of(mount)
                self._add(target, source, folder=os.path.isdir(source))
            case Tmpfs(target):
                mode = self._placer.mode_at(target)
                self._add(target, self.new_folder(name, 0o1777 if mode is None else mode), folder=True)
                self._ours.add(os.path.normpath(target))
            case Secret(content, target, mode):
                path = self.write(name, content.encode("latin-1"), mode)
                self._add(target, path, folder=False)
            case FileSystem() | Sysfs():
                raise SandboxError(f"mount at {mount.target}: proot cannot mount it")
            case _:
                assert_never(mount)

    def go_to(self, tree: Root, path: str, *, make: bool) -> None:
        """See that there is a working directory: ``make`` it where it is missing, else raise CannotStart."""
        if self._above(path) is None:
            try:
                if make:
                    tree.make_directories(path)
                else:
                    tree.open_directory(path.strip("/") or ".").close()
            except FileNotFoundError as error:
                raise no_directory(path) from error
            except OSError as error:
                raise SandboxError(f"working directory {path}: {error.strerror}") from error

    def _add(self, target: str, source: str, *, folder: bool) -> None:
        """Show ``source`` at ``target``, for which there must be something: made for the step, where it is missing."""
        target = os.path.normpath(target)
        above = self._above(target)
        if above is None:
            self._placer.ensure(target, folder=folder)
        elif above in self._ours:
            path = self._shown[above] + target.removeprefix(above)
            if folder:
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        self._shown[target] = source

    def _above(self, path: str) -> str | None:
        """Return the target of the innermost mount that ``path`` is in."""
        found = [target for target in self._shown if path.startswith(f"{target}/")]
        return max(found, key=len, default=None)

    def new_folder(self, name: str, mode: int) -> str:
        """Make a directory of ours; return its path."""
        path = os.path.join(self._folder, name)
        os.mkdir(path)
        os.chmod(path, mode)
        return path


def is_program(tree: Root, path: str) -> bool:
    """Tell whether a tree has a program at ``path``."""
    try:
        status = tree.lstat(tree.resolve(path))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)


def _path_of(mount: Tree) -> str:
    """Return where the source of a mount is on the machine."""
    assert isinstance(mount.tree, Folder)
    with opened_source(mount) as (_, name):
        return os.path.normpath(os.path.join(mount.tree.path, name))
