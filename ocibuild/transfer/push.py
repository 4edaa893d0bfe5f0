"""An image of the store, into registries: at once, or layer by layer while it is still being built."""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING, Self

from ocibuild.errors import OcibuildError, RegistryError
from ocibuild.registry import RegistryDestination
from ocibuild.store import StoreSource
from ocibuild.transfer.copying import copy
from ocibuild.transfer.plan import Selection, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from ocibuild.oci import BlobReader, Descriptor, Digest, Reference
    from ocibuild.registry import Registry
    from ocibuild.store import BlobWriter, Store

_AT_ONCE = 3  # while steps still run; the configuration of a registry may allow fewer


def push(
    registry: Registry,
    store: Store,
    descriptor: Descriptor,
    references: Sequence[Reference],
    *,
    progress: Callable[[Descriptor, int], None],
) -> None:
    """Push what ``descriptor`` names under every one of ``references``: blobs, then manifests, then tags.

    Only what a repository does not have is sent, once however many tags it gets. ``progress`` is told how many bytes
    of a blob are there; it is called from several threads. Raises NotInStore before anything is sent where a
    manifest is missing in the store, RegistryError, Unauthorized.
    """
    with Push(registry, store, references) as running:
        running.finish(descriptor, progress=progress)


class Push:
    """A push that may begin before the image is whole; a context manager, which ends what is still under way."""

    def __init__(self, registry: Registry, store: Store, references: Sequence[Reference]) -> None:
        self._registry = registry
        self._store = store
        ordered = sorted(references, key=lambda reference: reference.repository)
        self._repositories = [
            _Repository(RegistryDestination(registry, list(names), store.origins), store)
            for _, names in groupby(ordered, key=lambda reference: reference.repository)
        ]
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()  # guards _pool

    def begin(self, blob: Descriptor) -> None:
        """Send a blob of the store, in a thread of its own; safe to call from any thread.

        An error is not raised: ``finish()`` tries again.
        """
        for repository in self._repositories:
            repository.begin(blob, self._threads())

    def begin_growing(self, blob: BlobWriter) -> None:
        """Send a blob that is still being written, likewise; ``begin()`` for it comes after its end."""
        for repository in self._repositories:
            repository.begin_growing(blob, self._threads())

    def settle(self) -> None:
        """Wait for all that was begun; raise RegistryError where a registry gave no answer."""
        for repository in self._repositories:
            repository.settle()

    def provides(self, blob: Descriptor) -> bool:
        """Tell whether all repositories have a blob, so that it need not come from here; safe to call from any thread.

        What cannot be asked is taken for a no: ``finish()`` will tell why.
        """
        try:
            return all(repository.obtain(blob) for repository in self._repositories)
        except OcibuildError:
            return False

    def finish(self, descriptor: Descriptor, *, progress: Callable[[Descriptor, int], None]) -> None:
        """Send what is missing of ``descriptor``, and give it its names; see ``push``."""
        source = StoreSource(self._store, descriptor, str(descriptor.digest))
        plan = make_plan(source, Selection(everything=True), trusted=True)
        for repository in self._repositories:
            copy(source, repository, plan, progress=progress, abandon=self._registry.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is not None:
            if kind is not None:
                self._registry.stop()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="push")
            return self._pool


class _Repository:
    """A repository that may get a blob before it is asked whether it has it; see ``ImageDestination``."""

    def __init__(self, destination: RegistryDestination, store: Store) -> None:
        self._destination = destination
        self._store = store
        self._begun: dict[Digest, Future[bool]] = {}
        self._unreachable: RegistryError | None = None
        self._growing: list[tuple[BlobWriter, Future[bool]]] = []  # the digest is known in the end

    @property
    def subject(self) -> str:
        return self._destination.subject

    @property
    def parallel(self) -> int:
        return self._destination.parallel

    def begin(self, blob: Descriptor, pool: ThreadPoolExecutor) -> None:
        """Send a blob in another thread, once."""
        if blob.digest not in self._begun:
            growing = [sent for writer, sent in self._growing if writer.digest == blob.digest]
            self._begun[blob.digest] = growing[0] if growing else pool.submit(self._send, blob)

    def begin_growing(self, blob: BlobWriter, pool: ThreadPoolExecutor) -> None:
        """Send a blob in another thread, while it is being written in this one."""
        self._growing.append((blob, pool.submit(self._send_growing, blob)))

    def settle(self) -> None:
        for begun in (*self._begun.values(), *(sent for _, sent in self._growing)):
            begun.result()
        if self._unreachable:
            raise self._unreachable

    def obtain(self, blob: Descriptor) -> bool:
        return self._destination.obtain(blob)

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Wait for a blob that is on its way; see ``ImageDestination``."""
        begun = self._begun.get(descriptor.digest)
        return (begun is not None and begun.result()) or self._destination.has_blob(descriptor)

    def put_blob(
        self, descriptor: Descriptor, open_at: Callable[[int], BlobReader], progress: Callable[[int], None]
    ) -> None:
        self._destination.put_blob(descriptor, open_at, progress)

    def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        self._destination.put_manifest(descriptor, data)

    def finish(self, descriptor: Descriptor, data: bytes) -> None:
        self._destination.finish(descriptor, data)

    def _send(self, blob: Descriptor) -> bool:
        """Send a blob and return True, or False where that did not work; who gave no answer is not asked again."""
        if self._unreachable:
            return False
        try:
            if not self._destination.has_blob(blob):
                self._destination.put_blob(blob, self._opener(blob), lambda _done: None)
        except OcibuildError as error:
            self._note(error)
            return False
        return True

    def _send_growing(self, blob: BlobWriter) -> bool:
        try:
            self._destination.put_growing(blob)
        except OcibuildError as error:
            self._note(error)
            return False
        return True

    def _note(self, error: OcibuildError) -> None:
        if isinstance(error, RegistryError) and error.status == 0:
            self._unreachable = error

    def _opener(self, blob: Descriptor) -> Callable[[int], BlobReader]:
        return lambda offset: self._store.blobs.open_at(blob.digest, offset)
