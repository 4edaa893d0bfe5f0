"""Git repositories as sources: what a reference leads to, and the files of a commit.

Of each remote the store keeps a bare repository, to which only what is wanted is fetched, without its history. Every
commit in it that is complete has a reference, ``refs/ocibuild/HASH``. A checkout has a repository of its own, which is
thrown away, or stays as ``.git`` in the tree.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ocibuild.errors import SourceError, UnsafePath
from ocibuild.fs import Root
from ocibuild.oci import Digest
from ocibuild.source.gitprogram import LOCAL, Place, Remote
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import GitReference, GitTree
    from ocibuild.source.gitprogram import GitProgram, Secret
    from ocibuild.store import ActiveSnapshot, Store

_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_HASH_BEGINNING = re.compile("[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Commit:
    """What a reference leads to: ``object`` is its hash, that of an annotated tag where it is one; ``hash`` the commit.

    ``name`` is the reference in full, empty for a hash.
    """

    object: str
    hash: str
    name: str = ""


class GitSource:
    """Finds and brings what is in Git repositories; safe to use from threads.

    ``secret`` gives the build's secrets by name, None for one that there is not.
    """

    def __init__(self, program: GitProgram, store: Store, secret: Secret = lambda _name: None) -> None:
        self._program = program
        self._secret = secret
        self._locks = store.locks
        self._folder = os.path.join(store.root, "git")

    def find(self, reference: GitReference) -> Commit:
        """Return the commit that ``reference`` leads to; the remote is not asked where it is a hash.

        Raises SourceError where there is none.
        """
        if _HASH.fullmatch(reference.ref):
            return Commit(reference.ref, reference.ref)
        os.makedirs(self._folder, exist_ok=True)
        remote = Remote.parse(reference.remote, self._secret)
        ref = reference.ref or "HEAD"
        words = ("ls-remote", "--symref", "--", remote.url, ref, f"{ref}^{{}}")
        found = _chosen(ref, self._program.run(Place(self._folder), *words, remote=remote))
        if found is None:
            raise SourceError(
                f"{reference.shown}: there is no {_shown_ref(ref)}",
                remedy="give a branch, a tag, or all of a commit's hash",
            )
        return found

    def check_out(self, tree: GitTree, commit: Commit, active: ActiveSnapshot) -> None:
        """Put the files of ``commit`` into ``active``, as ``tree`` asks for them; raise SourceError."""
        remote = Remote.parse(tree.reference.remote, self._secret)
        name = f"{Digest.of(remote.url.encode('utf-8', 'surrogateescape')).encoded}-{len(commit.hash)}"
        repository = os.path.join(self._folder, name)
        with self._locks.holding(f"git {name}") as lock:
            os.makedirs(repository, exist_ok=True)
            here = Place(repository, repository, lock=lock)
            self._bring(remote, here, commit.object)
            _Checkout(self._program, remote, here, commit, active).make(tree)

    def stop(self) -> None:
        """End what runs; safe to repeat."""
        self._program.stop()

    def _bring(self, remote: Remote, here: Place, wanted: str) -> None:
        """Let the repository hold ``wanted``; one that a killed process has damaged gives way to a new one."""
        if self._has(here, wanted):
            return
        is_new = not os.listdir(here.folder)
        try:
            self._fetch(remote, here, wanted)
        except SourceError:
            if is_new:
                raise
            self._replace(remote, here, wanted)

    def _replace(self, remote: Remote, here: Place, wanted: str) -> None:
        """Fetch into a new repository, which takes the place of the old one where that succeeds."""
        name = os.path.basename(here.folder)
        new = f"{here.folder}.new"
        with Root.open(self._folder) as folder:
            with suppress(FileNotFoundError):
                folder.remove(f"{name}.new")
            os.mkdir(new)
            self._fetch(remote, replace(here, folder=new, git_dir=new), wanted)
            folder.remove(name)
            os.rename(new, here.folder)

    def _fetch(self, remote: Remote, here: Place, wanted: str) -> None:
        for leftover in _leftovers(here.folder):
            os.unlink(leftover)
        self._program.run(here, "init", "--quiet", "--bare", *_format(wanted))
        name = _kept_as(wanted)
        options = ("fetch", "--quiet", "--no-tags", "--force", "--no-write-fetch-head", "--no-recurse-submodules")
        try:
            self._program.run(here, *options, "--depth=1", "--", remote.url, f"{wanted}:{name}", remote=remote)
        except SourceError:
            # a server that knows no shallow transfers, or gives nothing but what its references name
            full = ["--unshallow"] if os.path.exists(os.path.join(here.folder, "shallow")) else []
            everything = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
            self._program.run(here, *options, "--prune", *full, "--", remote.url, *everything, remote=remote)
            self._keep(remote, here, wanted)

    def _keep(self, remote: Remote, here: Place, wanted: str) -> None:
        try:
            self._program.run(here, "update-ref", _kept_as(wanted), wanted)
        except SourceError as error:
            raise SourceError(f"{remote.url}: there is no commit {wanted}") from error

    def _has(self, here: Place, wanted: str) -> bool:
        try:
            self._program.run(here, "show-ref", "--verify", _kept_as(wanted))
        except SourceError:
            return False
        return True


class _Checkout:
    """One checkout of a commit, from the repository at ``source``, which holds it, to a snapshot."""

    def __init__(
        self, program: GitProgram, remote: Remote, source: Place, commit: Commit, active: ActiveSnapshot
    ) -> None:
        self._program = program
        self._remote = remote
        self._source = source
        self._commit = commit
        self._active = active
        os.chmod(active.upper, 0o755)

    def make(self, tree: GitTree) -> None:
        part = tree.reference.subdirectory.strip("/")
        whole = part in ("", ".")
        folder = self._active.upper if whole else self._scratch("tree")
        with_history = tree.keep_git_dir and whole
        here = self._with_history(folder, tree.reference.ref) if with_history else self._without_history(folder)
        if tree.reference.submodules is not False and os.path.lexists(os.path.join(folder, ".gitmodules")):
            words = ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
            self._program.run(here, *words, remote=self._remote)
            if not with_history:
                _unlink_submodules(folder)
        if not whole:
            self._move(folder, part, tree.reference)

    def _without_history(self, folder: str) -> Place:
        git_dir = self._scratch("git")
        here = self._source.at(git_dir, folder)
        self._program.run(here, "init", "--quiet", *_format(self._commit.hash))
        os.makedirs(os.path.join(git_dir, "objects/info"), exist_ok=True)
        with open(os.path.join(git_dir, "objects/info/alternates"), "w", encoding="utf-8") as file:
            file.write(f"{os.path.join(self._source.folder, 'objects')}\n")
        self._name_origin(here)
        self._program.run(here, "checkout", "--quiet", "--force", "--detach", self._commit.hash)
        return here

    def _with_history(self, folder: str, ref: str) -> Place:
        """Make a repository that stands alone, with the one commit, under the name that was asked for."""
        here = self._source.at(os.path.join(folder, ".git"), folder)
        self._program.run(here, "init", "--quiet", *_format(self._commit.hash))
        source = _kept_as(self._commit.object)
        words = ("fetch", "--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head", "--update-head-ok", "--")
        target = self._commit.name or (f"refs/tags/{ref}" if ref and not _HASH.fullmatch(ref) else "")
        refspec = f"{source}:{target}" if target else source
        self._program.run(here, *words, f"file://{quote(self._source.folder)}", refspec, protocols=LOCAL)
        self._program.run(here, "checkout", "--quiet", "--force", "--detach", self._commit.hash)
        self._name_origin(here)
        self._program.run(here, "reflog", "expire", "--all", "--expire=now")
        return here

    def _name_origin(self, here: Place) -> None:
        self._program.run(here, "remote", "add", "--", "origin", self._remote.url)

    def _move(self, folder: str, part: str, reference: GitReference) -> None:
        """Move what is in the directory ``part`` of the checkout to where the tree's root is."""
        try:
            with Root.open(folder) as root, root.open_directory(part) as source, Root.open(self._active.upper) as top:
                for name in os.listdir(source.fd):
                    os.rename(name, name, src_dir_fd=source.fd, dst_dir_fd=top.fd)
        except (FileNotFoundError, NotADirectoryError, UnsafePath) as error:
            raise SourceError(
                f"{reference.shown}: there is no directory {part!r} in {_shown_ref(reference.ref or 'HEAD')}"
            ) from error

    def _scratch(self, name: str) -> str:
        path = os.path.join(self._active.scratch, name)
        os.mkdir(path)
        return path


def _unlink_submodules(folder: str) -> None:
    """Remove the ``.git`` files that lead from submodules to a repository that is about to go."""
    with Root.open(folder) as root:
        for name, status in root.walk():
            if name.endswith("/.git") and stat.S_ISREG(status.st_mode):
                root.remove(name)


def check_commit(reference: GitReference, beginning: str | None, commit: Commit) -> None:
    """Raise SourceError unless ``beginning`` is that of the hash that was found, of the commit's or of its tag's."""
    if not beginning:
        return
    if not _HASH_BEGINNING.fullmatch(beginning):
        raise SourceError(f"{reference.shown}: {beginning!r} is no hash of a commit", remedy="it is hexadecimal")
    if not commit.hash.startswith(beginning) and not commit.object.startswith(beginning):
        found = commit.hash if commit.hash == commit.object else f"{commit.hash}, and its tag {commit.object}"
        raise SourceError(
            f"{reference.shown}: {_shown_ref(reference.ref or 'HEAD')} is {found}, not {beginning}",
            remedy="check the commit and the checksum",
        )


def _chosen(ref: str, listing: str) -> Commit | None:
    """Return what ``ref`` means among the lines of ls-remote: a full name, else a branch, else a tag, as in BuildKit.

    Of an annotated tag there is a second line, ``NAME^{}``, with the commit.
    """
    objects: dict[str, str] = {}
    default = ""
    for line in listing.splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            default = value.removeprefix("ref: ")
        elif _HASH.fullmatch(value):
            objects[name] = value
    if ref == "HEAD":
        return Commit(objects["HEAD"], objects["HEAD"], default) if "HEAD" in objects else None
    for name in _candidates(ref):
        if name in objects:
            return Commit(objects[name], objects.get(f"{name}^{{}}", objects[name]), name)
    return None


def _candidates(ref: str) -> Iterator[str]:
    for prefix in ("refs/", "refs/heads/", "refs/tags/"):
        yield prefix + ref.removeprefix(prefix)


def _kept_as(wanted: str) -> str:
    return f"refs/ocibuild/{wanted}"


def _format(example: str) -> tuple[str, ...]:
    """Return what ``git init`` must be told for a repository with hashes of this length."""
    return ("--object-format=sha256",) if len(example) == 64 else ()


def _leftovers(repository: str) -> Iterator[str]:
    """Yield the locks and unfinished objects that a killed git has left: ours is the only one that works here."""
    objects = os.path.join(repository, "objects")
    for folder, _, names in os.walk(repository):
        for name in names:
            if name.endswith(".lock") or (name.startswith("tmp_") and folder.startswith(objects)):
                yield os.path.join(folder, name)


def _shown_ref(ref: str) -> str:
    return repr(ref if len(ref) <= 200 else ref[:200] + "…")
