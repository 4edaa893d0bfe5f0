"""What a RUN sees in its tree for its own time: the mounts of the graph made into those of a sandbox."""

from __future__ import annotations

import json
import os
import posixpath
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, assert_never

from ocibuild.errors import SourceError
from ocibuild.executor.ssh import lent
from ocibuild.graph import BindMount, CacheMount, Copy, CopySource, Scratch, SecretMount, SSHMount, TmpfsMount
from ocibuild.layer.entry import Entry, Kind
from ocibuild.oci import Digest
from ocibuild.sandbox import Bind, Secret, Tmpfs, Tree
from ocibuild.solver.operations.copy import copy
from ocibuild.solver.operations.directory import put_owner
from ocibuild.store import Cache
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.graph import Mount, Run, Vertex
    from ocibuild.sandbox import Mount as Mounted
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import ActiveSnapshot, Snapshot

StackOf: TypeAlias = "Callable[[Vertex], Sequence[Snapshot]]"

AGENT_VARIABLE = "SSH_AUTH_SOCK"


@dataclass(frozen=True, slots=True)
class Given:
    """What a step is given: mounts in the order in which they are attached, and variables, ``NAME=value``."""

    mounts: tuple[Mounted, ...]
    env: tuple[str, ...]


@contextmanager
def given_to(shop: Workshop, vertex: Run, active: ActiveSnapshot, stack_of: StackOf) -> Iterator[Given]:
    """Give what the mounts of ``vertex`` are, until the block is left.

    As with BuildKit they are attached in the order of their targets, of several at one target only the last. Raises
    SourceError for a secret or an agent that is required and was not given, Interrupted for a cache that is waited for.
    """
    with ExitStack() as cleanup:
        maker = _Maker(shop, active, stack_of, cleanup)
        mounts = _in_order(vertex.mounts)
        maker.hold_caches(mounts)
        made = [found for mount in mounts if (found := maker.make(mount))]
        yield Given(tuple(made), tuple(_variables(shop, vertex)))


def _in_order(mounts: Sequence[Mount]) -> list[Mount]:
    """Return the mounts that show, those further down after those that they are in."""
    by_target = {posixpath.normpath(mount.target): mount for mount in mounts if mount.target is not None}
    return [mount for _, mount in sorted(by_target.items(), key=lambda item: item[0])]


def _variables(shop: Workshop, vertex: Run) -> Iterator[str]:
    agents = [mount.target for mount in vertex.mounts if isinstance(mount, SSHMount)]
    if agents and not any(entry.startswith(f"{AGENT_VARIABLE}=") for entry in vertex.env):
        yield f"{AGENT_VARIABLE}={agents[0]}"
    for mount in vertex.mounts:
        if isinstance(mount, SecretMount) and mount.env is not None:
            content = _secret(shop, mount) or b""
            if b"\0" in content:
                raise SourceError(f"secret {mount.id}: no environment variable can hold its NUL byte")
            yield f"{mount.env}={os.fsdecode(content)}"


def _secret(shop: Workshop, mount: SecretMount) -> bytes | None:
    content = shop.secrets(mount.id)
    if content is None and mount.required:
        raise SourceError(f"secret {mount.id}: not given", remedy=f"--secret id={mount.id},src=FILE gives it")
    return content


class _Maker:
    """Makes the mounts of one step; what must be undone is left to ``cleanup``."""

    def __init__(self, shop: Workshop, active: ActiveSnapshot, stack_of: StackOf, cleanup: ExitStack) -> None:
        self._shop = shop
        self._active = active
        self._stack_of = stack_of
        self._cleanup = cleanup
        self._caches: dict[Digest, str] = {}

    def hold_caches(self, mounts: Sequence[Mount]) -> None:
        """Take all caches, in an order that is the same for every step: so no two wait for each other."""
        found = [(self._cache(mount), mount) for mount in mounts if isinstance(mount, CacheMount)]
        for cache, mount in sorted(found, key=lambda item: item[0].digest):
            if cache.digest not in self._caches:
                using = self._shop.store.caches.using(cache, mount.sharing, partial(self._fill, mount))
                self._caches[cache.digest] = self._cleanup.enter_context(using)

    def make(self, mount: Mount) -> Mounted | None:
        """Return the sandbox's mount for one of the graph, None where it is left out."""
        match mount:
            case BindMount():
                stack = self._stack_of(mount.source)
                giving = self._shop.snapshotter.tree_of_mount(
                    stack, self._active, mount.path, read_only=mount.read_only
                )
                tree, path = self._cleanup.enter_context(giving)
                return Tree(tree, path, mount.target, self._shop.snapshotter.mount_point, mount.read_only)
            case CacheMount():
                return Bind(self._caches[self._cache(mount).digest], mount.target, mount.read_only, devices=False)
            case TmpfsMount():
                return Tmpfs(mount.target, mount.size, mount.read_only)
            case SecretMount():
                return self._secret_file(mount)
            case SSHMount():
                return self._agent(mount)
            case _:
                assert_never(mount)

    def _cache(self, mount: CacheMount) -> Cache:
        if mount.source is None:
            first: list[object] = [f"{mount.mode:o}", mount.uid, mount.gid]
        else:
            first = [posixpath.normpath(mount.path), *(snapshot.id for snapshot in self._stack_of(mount.source))]
        meaning = json.dumps([mount.id, *first], separators=(",", ":")).encode("utf-8", "surrogatepass")
        return Cache(mount.id, Digest.of(meaning))

    def _fill(self, mount: CacheMount, path: str) -> None:
        """Make what a new cache holds: an empty directory, or a copy of its source as that is."""
        if mount.source is None:
            os.mkdir(path)
            self._dress(path, Entry(path, Kind.DIRECTORY, mount.mode, mount.uid, mount.gid))
            return
        name = mount.path.strip("/") or "."
        copied = Copy(Scratch(), (CopySource(mount.source, (name,)),), "/content")
        with self._shop.store.snapshots.begin() as copying:
            copy(self._shop, self._shop, copied, (), copying, self._stack_of)
            os.rename(os.path.join(copying.upper, "content"), path)
        if os.path.isdir(path):
            self._dress(path, self._entry(mount.source, name))

    def _entry(self, source: Vertex, name: str) -> Entry:
        with self._shop.snapshotter.reading(self._stack_of(source)) as root, root.open_directory(name) as folder:
            there = self._shop.ownership.read(folder.fd, os.fstat(folder.fd))
        return Entry(name, Kind.DIRECTORY, there.mode, there.uid, there.gid)

    def _dress(self, path: str, entry: Entry) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            put_owner(fd, entry, self._shop.ownership)
            os.fchmod(fd, entry.mode)
        finally:
            os.close(fd)

    def _secret_file(self, mount: SecretMount) -> Secret | None:
        content = _secret(self._shop, mount)
        if content is None or mount.target is None:
            return None
        place = self._shop.snapshotter.mount_point
        return Secret(content.decode("latin-1"), mount.target, mount.mode & 0o777, mount.uid, mount.gid, place)

    def _agent(self, mount: SSHMount) -> Bind | None:
        connect = self._shop.agents(mount.id)
        if connect is None:
            if mount.required:
                raise SourceError(f"SSH agent {mount.id}: not given", remedy=f"--ssh {mount.id} gives it")
            return None
        folder = os.path.join(self._active.scratch, f"agent-{len(os.listdir(self._active.scratch))}")
        os.mkdir(folder, 0o700)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._cleanup.callback(os.close, fd)
        name = self._cleanup.enter_context(lent(fd, connect))
        self._shop.ownership.put_at(fd, name, Entry(name, Kind.FILE, mount.mode, mount.uid, mount.gid))
        os.chmod(name, mount.mode & 0o777, dir_fd=fd)
        return Bind(os.path.join(folder, name), mount.target)
