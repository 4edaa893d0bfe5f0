"""The tree of an image: its layers' blobs fetched, and unpacked or checked while they arrive."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from ocibuild.errors import DigestMismatch, IncompleteBlob, Interrupted, InvalidLayer, naming
from ocibuild.layer.apply import verify
from ocibuild.layer.limits import Allowance
from ocibuild.oci import compression_of
from ocibuild.rootfs.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Descriptor, Digest, Limits
    from ocibuild.rootfs.unpack import Blob
    from ocibuild.store import BlobWriter, Layer, Snapshot, Store

_DOWNLOADS = 6  # the configuration of a registry may allow fewer

Result = TypeVar("Result")


class BlobOrigin(Protocol):
    """Where the blobs of an image come from; safe to use from threads."""

    @property
    def subject(self) -> str:
        """What errors call the image."""

    def fetch(
        self, blob: Descriptor, *, progress: Callable[[int], None], started: Callable[[BlobWriter | None], None]
    ) -> None:
        """Make sure that the store has a blob, verified.

        ``started`` is called once: with the writer that others may follow, or with None where the blob is here.
        ``progress`` is told how many bytes are here. Raises RegistryError, DigestMismatch.
        """

    def distrust(self) -> bool:
        """Turn to another server, as this one gave what it should not have; False where there is no other."""

    def stop(self) -> None:
        """Wake who waits for a blob, which raises Interrupted there; safe to repeat."""


class Report(Protocol):
    """Hears how far a blob is; from several threads."""

    def __call__(self, blob: Descriptor, verb: str, done: int, /) -> None:
        """``done`` bytes of ``blob`` were dealt with as ``verb`` says."""


def bring_in(
    store: Store,
    layers: Sequence[Layer],
    origin: BlobOrigin,
    *,
    ownership: Ownership | None,
    blobs: Sequence[Layer],
    verified: Sequence[Layer],
    limits: Limits,
    report: Report,
    outline: bool = False,
) -> tuple[Snapshot, ...]:
    """Bring in what is missing of an image, and return its snapshots, oldest first.

    Without an ``ownership`` no file is wanted, and there are snapshots only where they were before. ``blobs`` are those
    of the layers whose blobs are wanted in the store too; else one that is unpacked already is not fetched. Those of
    them in ``verified`` are read to their end and held against their diff IDs even where nothing is unpacked. With
    ``outline`` the snapshots are outlines.

    What turns out to be wrong is fetched once more where there is another server. Raises RegistryError, DigestMismatch,
    InvalidLayer.
    """
    while True:
        try:
            return _bring_in(
                store,
                layers,
                origin,
                ownership=ownership,
                blobs=blobs,
                verified=verified,
                limits=limits,
                report=report,
                outline=outline,
            )
        except DigestMismatch:
            if not origin.distrust():
                raise


def _bring_in(
    store: Store,
    layers: Sequence[Layer],
    origin: BlobOrigin,
    *,
    ownership: Ownership | None,
    blobs: Sequence[Layer],
    verified: Sequence[Layer],
    limits: Limits,
    report: Report,
    outline: bool,
) -> tuple[Snapshot, ...]:
    stack = store.snapshots.by_layers(layers, outline=outline)
    wanted = layers if stack is None and ownership else blobs
    arrivals = _Arrivals(store, origin, [layer.descriptor for layer in wanted], report)
    if stack is not None:
        return arrivals.receive(lambda: stack)
    if ownership is None:
        return arrivals.receive(lambda: _verify(verified, arrivals, limits, report))
    return arrivals.receive(lambda: _unpack(store, layers, arrivals, ownership, limits, report, outline=outline))


def _unpack(
    store: Store,
    layers: Sequence[Layer],
    arrivals: _Arrivals,
    ownership: Ownership,
    limits: Limits,
    report: Report,
    *,
    outline: bool,
) -> tuple[Snapshot, ...]:
    progress = _Progress("reading" if outline else "unpacking", report)
    with arrivals.examined():
        return unpack(
            store, layers, arrivals.open, ownership=ownership, progress=progress, limits=limits, outline=outline
        )


def _verify(layers: Sequence[Layer], arrivals: _Arrivals, limits: Limits, report: Report) -> tuple[Snapshot, ...]:
    progress, allowance = _Progress("checking", report), Allowance(limits.total)
    for layer in layers:
        with arrivals.examined(), closing(arrivals.open(layer)) as blob:
            verify(
                blob,
                compression_of(layer.descriptor.media_type),
                expect=layer.diff_id,
                limits=limits,
                allowance=allowance,
                name=layer.descriptor.digest,
                progress=partial(progress, layer),
            )
    return ()


class _Progress:
    """Adds up how many bytes of each blob were dealt with."""

    def __init__(self, verb: str, report: Report) -> None:
        self._verb = verb
        self._report = report
        self._done: dict[Digest, int] = {}

    def __call__(self, layer: Layer, more: int) -> None:
        blob = layer.descriptor
        self._done[blob.digest] = self._done.get(blob.digest, 0) + more
        self._report(blob, self._verb, self._done[blob.digest])


class _Arrivals:
    """The blobs that the store does not have yet, each in a writer once its transfer begins."""

    def __init__(self, store: Store, origin: BlobOrigin, wanted: Sequence[Descriptor], report: Report) -> None:
        self._store = store
        self._origin = origin
        self._report = report
        self._missing = {one.digest: one for one in wanted if not store.blobs.has(one.digest)}
        self._writers: dict[Digest, Future[BlobWriter | None]] = {digest: Future() for digest in self._missing}
        self._failed = threading.Event()
        self._keeps_nothing = False

    def receive(self, meanwhile: Callable[[], Result]) -> Result:
        """Fetch all, do something meanwhile, and return its result when both are done.

        The first error ends the rest. That of a fetch goes before that of ``meanwhile``, unless the fetch was ended
        because of the other.
        """
        if not self._missing:
            return meanwhile()
        with ThreadPoolExecutor(max_workers=_DOWNLOADS, thread_name_prefix="fetch") as pool:
            fetches = [pool.submit(self._fetch, descriptor) for descriptor in self._missing.values()]
            try:
                result = meanwhile()
                wait(fetches, return_when=FIRST_EXCEPTION)
            except Exception as error:
                self._failed.set()
                self._end(fetches, instead_of=error)
                raise
            except BaseException:
                self._failed.set()
                self._origin.stop()
                raise
            self._end(fetches)
        return result

    def open(self, layer: Layer) -> Blob:
        """Return a reader of a layer's blob, wherever it is."""
        started = self._writers.get(layer.descriptor.digest)
        writer = started.result() if started else None
        return writer.follow() if writer else self._store.blobs.open(layer.descriptor.digest)

    @contextmanager
    def examined(self) -> Iterator[None]:
        """Keep nothing of what was fetched where it turns out that the image is not what it should be."""
        try:
            yield
        except IncompleteBlob:
            raise  # the image may be good
        except (InvalidLayer, DigestMismatch):
            self._keeps_nothing = True
            self._failed.set()
            with naming(self._origin.subject):
                raise

    def _end(self, fetches: Sequence[Future[None]], instead_of: Exception | None = None) -> None:
        """Wait for the fetches, the others too where one failed, and raise the first error that says more."""
        if any(fetch.done() and fetch.exception() for fetch in fetches):
            self._failed.set()
        errors = [error for fetch in fetches if (error := fetch.exception())]
        if self._keeps_nothing or any(isinstance(error, DigestMismatch) for error in errors):
            for digest, started in self._writers.items():
                if not started.exception() and started.result() is not None:  # else it is another process's too
                    self._store.blobs.remove(digest)
        telling = [error for error in errors if not isinstance(error, Interrupted)]
        if telling or (errors and (instead_of is None or isinstance(instead_of, IncompleteBlob))):
            raise (telling or errors)[0]

    def _fetch(self, blob: Descriptor) -> None:
        started = self._writers[blob.digest]

        def report(done: int) -> None:
            if self._failed.is_set():
                raise Interrupted
            self._report(blob, "downloading", done)

        try:
            self._origin.fetch(blob, progress=report, started=started.set_result)
        except BaseException as error:
            self._failed.set()
            if not started.done():
                started.set_exception(error)
            raise
