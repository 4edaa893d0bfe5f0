"""The ``proot`` executor: what others mount is shown to a step by proot, which follows each of its system calls.

It needs no privilege. It does not confine a step either: what is read-only elsewhere can be written, and the machine's
processes are seen. proot runs behind a filter for which the calls that its version does not know do not exist: C
libraries fall back to those that it does know.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import CannotStart, SandboxError
from ocibuild.executor.chroot import DEVICES, LINKS, SpawnedExecutor, network_files
from ocibuild.executor.foreign import as_it_is, find_emulator
from ocibuild.executor.placing import Placer
from ocibuild.executor.refusals import refuse_unshared
from ocibuild.fs import Root
from ocibuild.sandbox import Bind, FileSystem, Folder, ProgramSpec, Secret, Sysfs, Tmpfs, Tree, find_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ocibuild.executor.process import Process
    from ocibuild.oci import Platform
    from ocibuild.sandbox import Mount, RootTree, Spawner, User

# calls that take a path and that no version translates; that of fork is one that it does not follow
_UNKNOWN = (
    "clone3", "execveat", "fchmodat2", "file_getattr", "file_setattr", "fsopen", "fspick", "getxattrat",
    "io_uring_setup", "listxattrat", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "openat2",
    "removexattrat", "setxattrat",
)  # fmt: skip
_UNKNOWN_BEFORE_5_2 = ("faccessat2", "statx")
_OLDEST = (5, 1)
_LOADER = "PROOT_LOADER"
_SCRATCH = "PROOT_TMP_DIR"
_NO_SECCOMP = "PROOT_NO_SECCOMP"  # else 5.4 waits for a filter of its own to tell it of calls, and translates none
_ACCOUNT_FILE_LIMIT = 4 << 20
_REPORT = "ocibuild-status"
_SHOWN, _COVERED = "/proc/version", "/proc/filesystems"  # files of one line and of others, on every machine


@dataclass(frozen=True, slots=True)
class Proot:
    """A proot that works here: its path and version, and its loader, a program that other users must reach too."""

    path: str
    version: tuple[int, ...]
    loader: bytes

    @property
    def unknown(self) -> list[str]:
        """The system calls that it does not know."""
        return [*_UNKNOWN, *(_UNKNOWN_BEFORE_5_2 if (0,) < self.version < (5, 2) else ())]


def find_proot(named: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the path of proot: that in ``OCIBUILD_PROOT``, else the one ``named``, else what is on PATH.

    Raises SandboxError where one that is named is no program.
    """
    for source, path in (("OCIBUILD_PROOT", environ.get("OCIBUILD_PROOT")), ("[build] proot", named)):
        if path:
            if not os.access(path, os.X_OK):
                raise SandboxError(f"{source}: {path}: no such program", remedy="give the path of proot")
            return os.path.abspath(path)
    return shutil.which("proot", path=environ.get("PATH"))


def try_proot(path: str, spawner: Spawner, scratch: str) -> Proot:
    """Return the proot at ``path`` once it has shown a file elsewhere than it is; raise SandboxError.

    ``scratch`` is a directory for its files.
    """
    said = _said_by(spawner, ProgramSpec(path, [path, "--version"], {}, "/"))
    found = re.search(r"\b(\d+)\.(\d+)(?:\.(\d+))?\b", said)
    version = tuple(int(part or 0) for part in found.groups()) if found else (0,)
    if (0,) < version < _OLDEST:
        raise SandboxError(
            f"{path} is proot {'.'.join(map(str, version))}, which is too old", remedy="install proot 5.1 or newer"
        )
    return Proot(path, version, _loader(Proot(path, version, b""), spawner, scratch))


def _loader(proot: Proot, spawner: Spawner, scratch: str) -> bytes:
    """Return the program that proot starts all others with, once a shell has read a file where only proot shows it."""
    shell = os.path.realpath("/bin/sh")
    script = f'read -r line <{_COVERED}; echo "$$ $line"; read -r line'
    args = [proot.path, "-v", "-1", "-r", "/", "-b", f"{_SHOWN}:{_COVERED}", "-w", "/", shell, "-c", script]
    env = {"PATH": "/usr/bin:/bin", _NO_SECCOMP: "1", _SCRATCH: scratch}
    spec = ProgramSpec(proot.path, args, env, "/", unknown=proot.unknown)
    with _started(spawner, spec) as (answer, out):
        pid, _, line = os.read(out, 4096).decode("utf-8", "replace").strip().partition(" ")
        with open(_SHOWN, encoding="utf-8") as file:
            if line != file.readline().strip():
                said = (
                    f"{pid} {line}" if line and not pid.isdecimal() else "it does not show the files that it is told to"
                )
                raise SandboxError(f"{proot.path} does not work here: {' '.join(said.split())}", remedy=_remedy(said))
        with open(f"/proc/{pid}/exe", "rb") as program:
            loader = program.read()
        os.write(answer, b"\n")
    return loader


def _remedy(said: str) -> str:
    """Return what to do about what proot says; 5.1 has no other place than /tmp for its loader, whatever it is told."""
    if os.statvfs("/tmp").f_flag & os.ST_NOEXEC:  # noqa: S108  (it is proot that uses it)
        return "mount /tmp so that programs in it can be run: docker run --tmpfs /tmp:exec"
    return "let it write to /tmp" if "temporary file" in said else "allow ptrace(2), or install a newer proot"


def _said_by(spawner: Spawner, spec: ProgramSpec) -> str:
    """Return what a program prints."""
    with _started(spawner, spec) as (_, out):
        said = b""
        while piece := os.read(out, 4096):
            said += piece
    return said.decode("utf-8", "replace")


@contextmanager
def _started(spawner: Spawner, spec: ProgramSpec) -> Iterator[tuple[int, int]]:
    """Start a program; give the end that it reads of, and one of all that it prints. It is ended with the block."""
    with ExitStack() as cleanup:
        with ExitStack() as theirs:
            stdin, answer = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, stdin)
            cleanup.callback(os.close, answer)
            out, stdout = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, stdout)
            cleanup.callback(os.close, out)
            running = spawner.run(spec, stdin=stdin, stdout=stdout, stderr=stdout)
            cleanup.callback(running.close)
        yield answer, out


class ProotExecutor(SpawnedExecutor):
    """Runs processes under proot, through a spawner without namespaces; ``warn`` hears what it cannot offer, once.

    All is done as who we are: a supervisor has the processes believe that they are others, and records owners. So a
    process that becomes another can still be followed by proot, which without CAP_SYS_PTRACE not even root's could.
    """

    def __init__(self, spawner: Spawner, path: str, warn: Callable[[str], None] = lambda _text: None) -> None:
        super().__init__(spawner, warn)
        self._path = path
        self._proot: Proot | None = None

    @contextmanager
    def prepared(self, process: Process, root: RootTree, scratch: str) -> Iterator[tuple[ProgramSpec, list[str]]]:
        """See SpawnedExecutor."""
        refuse_unshared(process, where="proot")
        emulator = _emulator(process.platform)
        assert isinstance(root, Folder)
        proot = self._tried(scratch)
        touched: list[str] = []
        with ExitStack() as cleanup:
            tree = cleanup.enter_context(Root.open(root.path))
            view = _View(tree, Placer(tree, _open_new(scratch, "covered", cleanup), cleanup), scratch)
            for name in ("proc", "sys", "dev"):
                tree.make_directories(name)  # they stay, as with docker
            view.show_system()
            for mount in (*network_files(scratch, process), *process.mounts):
                view.show(mount)
            user = find_user(process.user, _read(tree, "etc/passwd"), _read(tree, "etc/group"))
            view.make_folder(process.working_dir)
            yield self._spec(proot, process, root.path, view, user, emulator), touched
            cleanup.close()
            touched += view.placer.touched

    def _tried(self, scratch: str) -> Proot:
        with self.lock:
            if self._proot is None:
                self._proot = try_proot(self._path, self._spawner, scratch)
            return self._proot

    def _spec(
        self, proot: Proot, process: Process, root: str, view: _View, user: User, emulator: Sequence[str]
    ) -> ProgramSpec:
        env = dict(entry.partition("=")[::2] for entry in process.env)
        env.setdefault("HOME", user.home or "/")
        args = [proot.path, "-v", "-1", *emulator, "-r", root, "-w", process.working_dir, *view.options()]
        command, report = view.reporting(_located(view.tree, process))
        env[_NO_SECCOMP] = "1"
        env[_SCRATCH] = view.new_folder("scratch", 0o1777)
        env[_LOADER] = view.write("loader", proot.loader, 0o755)
        return ProgramSpec(
            proot.path,
            [*args, *command],
            env,
            "/",
            proot.unknown,
            folder=root,
            believes=user,
            report=report,
            ulimits=process.ulimits,
            terminal=process.terminal,
        )


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


class _View:
    """What a step sees beside its tree: pairs of a path of the machine and one in the tree."""

    def __init__(self, tree: Root, placer: Placer, scratch: str) -> None:
        self.placer = placer
        self.tree = tree
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

    def reporting(self, args: list[str]) -> tuple[list[str], str | None]:
        """Return what runs a program and tells its status, with the FIFO that hears it.

        proot itself ends with the last of its processes, and with the status of that. Where the tree has no shell to
        wait for the program, that has to do.
        """
        if not _is_program(self.tree, "/bin/sh"):
            return args, None
        report = os.path.join(self._shown["/dev"], _REPORT)
        os.mkfifo(report)
        os.chmod(report, 0o622)
        script = f'unset {_LOADER} {_NO_SECCOMP} {_SCRATCH}; "$@"; echo $? >/dev/{_REPORT}'
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
                mode = self.placer.mode_at(target)
                self._add(target, self.new_folder(name, 0o1777 if mode is None else mode), folder=True)
                self._ours.add(os.path.normpath(target))
            case Secret(content, target, mode):
                path = self.write(name, content.encode("latin-1"), mode)
                self._add(target, path, folder=False)
            case FileSystem() | Sysfs():
                raise SandboxError(f"mount at {mount.target}: proot cannot mount it")
            case _:
                assert_never(mount)

    def make_folder(self, path: str) -> None:
        """Make a working directory where it is missing; as with docker, it stays."""
        if self._above(path) is None:
            try:
                self.tree.make_directories(path)
            except OSError as error:
                raise SandboxError(f"working directory {path}: {error.strerror}") from error

    def _add(self, target: str, source: str, *, folder: bool) -> None:
        """Show ``source`` at ``target``, for which there must be something: made for the step, where it is missing."""
        target = os.path.normpath(target)
        above = self._above(target)
        if above is None:
            self.placer.ensure(target, folder=folder)
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


def _located(tree: Root, process: Process) -> list[str]:
    """Return the arguments with the program's path, which is no name that means something to a shell.

    Raises CannotStart where no folder of PATH has it: proot says so in words of its own.
    """
    if not process.args:
        raise SandboxError("there is no command to run")
    name, *others = process.args
    folders = next((entry[5:] for entry in process.env if entry.startswith("PATH=")), "").split(":")
    if "/" in name:
        return [name, *others]
    found = [f"{folder}/{name}" for folder in folders if folder and _is_program(tree, f"{folder}/{name}")]
    if found:
        return [found[0], *others]
    if any(f"{folder}/".startswith(f"{mount.target}/") for folder in folders for mount in process.mounts):
        return [name, *others]
    raise CannotStart(
        f"{name}: executable file not found in $PATH", exit_status=127, remedy="install it in an earlier step"
    )


def _is_program(tree: Root, path: str) -> bool:
    try:
        status = tree.lstat(tree.resolve(path))
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)


def _path_of(mount: Tree) -> str:
    """Return where the source of a mount is on the machine."""
    assert isinstance(mount.tree, Folder)
    with Root.open(mount.tree.path) as tree:
        try:
            name = tree.resolve(mount.path)
            tree.lstat(name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SandboxError(f"mount at {mount.target}: its source has no {mount.path}") from error
    return os.path.normpath(os.path.join(mount.tree.path, name))


def _read(tree: Root, name: str) -> str:
    """Return a file of accounts; an image need not have one."""
    try:
        fd = tree.open_file(tree.resolve(name))
    except OSError:
        return ""
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(_ACCOUNT_FILE_LIMIT).decode("utf-8", "surrogateescape")


def _open_new(scratch: str, name: str, cleanup: ExitStack) -> int:
    path = os.path.join(scratch, name)
    os.mkdir(path, 0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    cleanup.callback(os.close, fd)
    return fd
