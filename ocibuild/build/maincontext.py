"""The main context of a build, and its Dockerfile: a folder, or what standard input or another machine gives.

What is not a folder of this machine is put into a snapshot that lasts as long as the build. It is a stranger's: its
Dockerfile is looked for inside of it, and its symbolic links do not lead out.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError, UnsafePath, UsageError
from ocibuild.fs import Root
from ocibuild.graph import GitReference, GitTree, HttpFile, Origin
from ocibuild.source import LocalContext
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.build.remotes import Remotes
    from ocibuild.build.request import BuildRequest
    from ocibuild.layer.owners import Ownership
    from ocibuild.store import ActiveSnapshot, Store

USUAL_NAMES = ("Dockerfile", "Containerfile", "dockerfile")
_DOCKERFILE_LIMIT = 16 << 20  # bytes
_STDIN = "-"
_URL = ("http://", "https://")
_FILE = "context"  # what docker calls the file behind a URL that is a context
_LABEL = "[internal] load remote build context"
_PIECE = 1 << 20
_KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"


@dataclass(frozen=True, slots=True)
class MainContext:
    """An open context, and the text of its Dockerfile, which errors call ``file``."""

    context: LocalContext
    dockerfile: bytes
    file: str


@contextmanager
def open_main(
    request: BuildRequest, store: Store, remotes: Remotes, ownership: Callable[[], Ownership]
) -> Iterator[MainContext]:
    """Open the context of ``request``, whatever it is, and read its Dockerfile; raise SourceError, UsageError.

    ``ownership`` tells how owners are put on the files of a tar; it is asked only where there is one.
    """
    if request.context == _STDIN and request.dockerfile == _STDIN:
        raise UsageError("the context and the Dockerfile cannot both be standard input")
    source = _elsewhere(request)
    if source is None and request.context != _STDIN:
        yield from _open_folder(request)
        return
    with store.snapshots.begin() as active:
        os.chmod(active.upper, 0o755)
        if source is None:
            yield from _open_stdin(request, active, ownership())
        else:
            remotes.fetch(source, active, _LABEL)
            is_file = isinstance(source, HttpFile) and not _unpacked(active, ownership())
            yield from _open_fetched(active, _FILE if is_file else request.dockerfile)


def _elsewhere(request: BuildRequest) -> HttpFile | GitTree | None:
    """Return what must be fetched for a context that is not here; a folder goes before a URL of the same text."""
    text = request.context
    if os.path.isdir(text):
        return None
    try:
        reference = GitReference.parse(text, shorthand=True)
    except ValueError as error:
        raise UsageError(f"the build context is a Git repository, but {error}") from error
    if reference is not None:
        keep = reference.keep_git_dir or request.build_args.get(_KEEP_GIT_DIR) in ("1", "true")
        return GitTree(reference, keep_git_dir=keep, checksum=reference.commit, origin=Origin(_LABEL))
    return HttpFile(text, _FILE, origin=Origin(_LABEL)) if text.startswith(_URL) else None


def _open_folder(request: BuildRequest) -> Iterator[MainContext]:
    path = request.dockerfile or _usual_path(request.context)
    beside = None if path == _STDIN else path
    with LocalContext.open(request.context, dockerfile=beside) as context:
        yield MainContext(context, _read_dockerfile(path), "Dockerfile" if path == _STDIN else os.path.normpath(path))


def _open_stdin(request: BuildRequest, active: ActiveSnapshot, ownership: Ownership) -> Iterator[MainContext]:
    """Open a tar on standard input; what is none is a Dockerfile, and its context has no files."""
    path = os.path.join(active.upper, _FILE)
    with open(0, "rb", closefd=False) as stdin, open(path, "xb") as file:
        while piece := stdin.read(_PIECE):
            file.write(piece)
    if _unpacked(active, ownership):
        yield from _open_fetched(active, request.dockerfile)
        return
    if request.dockerfile is not None:
        raise UsageError(
            "standard input is no tar, so it is a Dockerfile, and --file names another one",
            remedy="leave one of them out",
        )
    with open(path, "rb") as file:
        text = _limited(file.read(_DOCKERFILE_LIMIT + 1), "standard input")
    if not text:
        raise SourceError("standard input is empty", remedy="give a Dockerfile or a tar")
    os.unlink(path)
    with LocalContext.open(active.upper) as context:
        yield MainContext(context, text, "Dockerfile")


def _unpacked(active: ActiveSnapshot, ownership: Ownership) -> bool:
    """Put what the one file of ``active`` holds in its place, and tell whether it was a tar."""
    from ocibuild.solver.operations.archive import is_archive, unpack
    from ocibuild.solver.operations.placing import Placer

    with Root.open(active.upper) as root, Root.open(active.scratch) as scratch:
        if not is_archive(root, _FILE):
            return False
        os.rename(_FILE, _FILE, src_dir_fd=root.fd, dst_dir_fd=scratch.fd)
        unpack(scratch, _FILE, Placer(root, ownership), owner=(0, 0))
    return True


def _open_fetched(active: ActiveSnapshot, dockerfile: str | None) -> Iterator[MainContext]:
    if dockerfile == _STDIN:
        with LocalContext.open(active.upper) as context:
            yield MainContext(context, _read_dockerfile(_STDIN), "Dockerfile")
        return
    with Root.open(active.upper) as root:
        name = dockerfile or _usual_name(root)
        text = _read_inside(root, name)
    with LocalContext.open(active.upper, inside=name) as context:
        yield MainContext(context, text, name)


def _usual_name(root: Root) -> str:
    for name in USUAL_NAMES:
        try:
            root.lstat(name)
        except OSError:
            continue
        return name
    return USUAL_NAMES[0]


def _read_inside(root: Root, name: str) -> bytes:
    try:
        fd = root.open_file(root.resolve(name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"{name}: no such Dockerfile in the build context", remedy="--file names another") from error
    except (OSError, UnsafePath) as error:
        raise SourceError(f"{name}: this is no Dockerfile: {error}", remedy="--file names another") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SourceError(f"{name}: this is no Dockerfile, and no file at all", remedy="--file names another")
    with open(fd, "rb") as file:
        return _limited(file.read(_DOCKERFILE_LIMIT + 1), name)


def _read_dockerfile(path: str) -> bytes:
    """Return the content of a Dockerfile, ``-`` for standard input; raise SourceError where there is none."""
    try:
        with open(0 if path == _STDIN else path, "rb", closefd=path != _STDIN) as file:
            text = file.read(_DOCKERFILE_LIMIT + 1)
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such Dockerfile", remedy="--file names another") from error
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", remedy="--file names another Dockerfile") from error
    return _limited(text, path)


def _limited(text: bytes, path: str) -> bytes:
    if len(text) > _DOCKERFILE_LIMIT:
        raise SourceError(f"{path}: more than {_DOCKERFILE_LIMIT >> 20} MiB is no Dockerfile")
    return text


def _usual_path(context: str) -> str:
    paths = [os.path.join(context, name) for name in USUAL_NAMES]
    return next((path for path in paths if os.path.exists(path)), paths[0])
