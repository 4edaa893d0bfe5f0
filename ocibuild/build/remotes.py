"""What a Dockerfile takes from elsewhere: files behind URLs, and Git repositories."""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING

from ocibuild.graph import GitTree, HttpFile, Transferred, inputs, shown_url, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from ocibuild.graph import Emit, GitReference, Vertex
    from ocibuild.registry import Registry
    from ocibuild.source.git import Commit, GitSource
    from ocibuild.source.gitprogram import Secret
    from ocibuild.source.http import HttpSource
    from ocibuild.store import ActiveSnapshot, Download, Store

_AT_ONCE = 4


class Remotes:
    """Finds out what is elsewhere, each thing once in a build, and brings it.

    ``secret`` gives the build's secrets, of which git may need one. ``registry`` opens the client whose connections are
    used, and is called only where one is needed. ``steps`` is the number of the last step that events told of: each
    thing that somebody must be asked about is one.
    """

    def __init__(
        self, store: Store, registry: Callable[[], Registry], emit: Emit, secret: Secret = lambda _name: None
    ) -> None:
        self._store = store
        self._registry = registry
        self._emit = emit
        self._secret = secret
        self._files: dict[str, Future[Download]] = {}  # by URL
        self._commits: dict[GitReference, Future[Commit]] = {}
        self.steps = 0

    def look_up(self, target: Vertex) -> None:
        """Find out about all that ``target`` needs, several at a time.

        What cannot be found is told by ``identify``, which is asked where the place of the instruction is known.
        """
        wanted = list(_elsewhere(target))
        if not wanted:
            return
        from concurrent.futures import ThreadPoolExecutor

        from ocibuild.registry.parallel import wait_until_settled

        with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="look-up") as pool:
            for vertex in wanted:
                self._begin(vertex, pool)
            try:
                for file in self._files.values():
                    wait_until_settled([file])
                for commit in self._commits.values():
                    wait_until_settled([commit])
            except BaseException:
                self.stop()
                self._registry().stop()
                raise

    def identify(self, vertex: HttpFile | GitTree) -> str:
        """Return a name for the files of ``vertex``, which is another where they are; raise SourceError."""
        if isinstance(vertex, HttpFile):
            file = vertex.checksum or self._files[vertex.url].result()
            return file if isinstance(file, str) else json.dumps([file.digest, file.modified])
        from ocibuild.source.git import check_commit

        commit, reference = self._commits[vertex.reference].result(), vertex.reference
        for beginning in (vertex.checksum, reference.commit):
            check_commit(reference, beginning, commit)
        options = [reference.subdirectory.strip("/"), reference.submodules is not False]
        history = [commit.object, commit.name, reference.shown] if vertex.keep_git_dir else []
        return json.dumps([commit.hash, options, history])

    def bring(self, vertex: HttpFile | GitTree, active: ActiveSnapshot, step: int) -> None:
        """Put the files of ``vertex`` into ``active``; raise SourceError."""
        if isinstance(vertex, GitTree):
            self._git.check_out(vertex, self._commits[vertex.reference].result(), active)
        elif vertex.checksum is None:
            self._http.put(self._files[vertex.url].result(), vertex.name, active)
        else:
            file = self._http.find(vertex.url, vertex.checksum, self._progress(vertex, step))
            self._http.put(file, vertex.name, active)

    def fetch(self, vertex: HttpFile | GitTree, active: ActiveSnapshot, label: str) -> None:
        """Find out about ``vertex`` and put its files into ``active``, shown as steps of their own."""
        self.look_up(vertex)
        self.identify(vertex)
        self.steps += 1
        with told(self._emit, self.steps, label):
            self.bring(vertex, active, self.steps)

    def stop(self) -> None:
        """End what git does; what comes by HTTP ends with the client of registries. Safe to repeat."""
        self._git.stop()

    @cached_property
    def _git(self) -> GitSource:
        from ocibuild.source.git import GitSource
        from ocibuild.source.gitprogram import GitProgram

        known_hosts = os.path.join(self._store.root, "git", "known_hosts")
        return GitSource(GitProgram(os.environ, known_hosts), self._store, self._secret)

    @cached_property
    def _http(self) -> HttpSource:
        from ocibuild.source.http import HttpSource

        return HttpSource(self._registry().transport, self._store)

    def _begin(self, vertex: HttpFile | GitTree, pool: ThreadPoolExecutor) -> None:
        if isinstance(vertex, HttpFile):
            if vertex.checksum is None and vertex.url not in self._files:
                self.steps += 1
                self._files[vertex.url] = pool.submit(self._find_file, vertex, self.steps)
        elif vertex.reference not in self._commits:
            self.steps += 1
            self._commits[vertex.reference] = pool.submit(self._find_commit, vertex.reference, self.steps)

    def _find_file(self, vertex: HttpFile, step: int) -> Download:
        with told(self._emit, step, f"[internal] look up {shown_url(vertex.url)}"):
            return self._http.find(vertex.url, None, self._progress(vertex, step))

    def _find_commit(self, reference: GitReference, step: int) -> Commit:
        with told(self._emit, step, f"[internal] look up {reference.shown}"):
            return self._git.find(reference)

    def _progress(self, vertex: HttpFile, step: int) -> Callable[[int, int | None], None]:
        return lambda done, total: self._emit(Transferred(step, vertex.name, "downloading", done, total))


def _elsewhere(target: Vertex) -> Iterator[HttpFile | GitTree]:
    """Yield what ``target`` takes from elsewhere, in the order of the steps."""
    seen: set[int] = set()
    pending = [target]
    found: list[HttpFile | GitTree] = []
    while pending:
        vertex = pending.pop()
        if id(vertex) in seen:
            continue
        seen.add(id(vertex))
        if isinstance(vertex, HttpFile | GitTree):
            found.append(vertex)
        pending += inputs(vertex)
    yield from reversed(found)
