"""The tree of an image: its layers' blobs fetched, and unpacked while they arrive."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ocibuild.graph import Transferred
from ocibuild.rootfs import unpack, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.graph import Image
    from ocibuild.oci import Descriptor, Digest
    from ocibuild.rootfs import Blob
    from ocibuild.solver.workshop import Workshop
    from ocibuild.store import BlobWriter, Layer, Snapshot

_DOWNLOADS = 3  # as docker

Result = TypeVar("Result")


def materialise(
    shop: Workshop, image: Image, layers: Sequence[Layer], *, files: bool, blobs: bool, step: int
) -> tuple[Snapshot, ...]:
    """Bring in what is missing of an image, and return its snapshots, oldest first, where ``files`` are wanted.

    ``blobs`` wants every layer's blob in the store too; else one that is unpacked already is not fetched.
    """
    stack = unpacked(shop.store, layers)
    unpacking = files and stack is None
    wanted = layers if blobs or unpacking else ()
    arrivals = _Arrivals(shop, image, [layer.descriptor for layer in wanted], step)
    if unpacking:
        return arrivals.receive(lambda: _unpack(shop, layers, arrivals, step))
    return arrivals.receive(lambda: stack or ())


def _unpack(shop: Workshop, layers: Sequence[Layer], arrivals: _Arrivals, step: int) -> tuple[Snapshot, ...]:
    done: dict[Digest, int] = {}

    def report(layer: Layer, more: int) -> None:
        blob = layer.descriptor
        done[blob.digest] = done.get(blob.digest, 0) + more
        shop.emit(Transferred(step, blob.digest.short, "unpacking", done[blob.digest], blob.size))

    limits = shop.limits()
    return unpack(shop.store, layers, arrivals.open, ownership=shop.ownership, progress=report, limits=limits)


class _Arrivals:
    """The blobs that the store does not have yet, each in a writer once its transfer begins."""

    def __init__(self, shop: Workshop, image: Image, wanted: Sequence[Descriptor], step: int) -> None:
        self._shop = shop
        self._image = image
        self._step = step
        self._missing = {one.digest: one for one in wanted if not shop.store.blobs.has(one.digest)}
        self._writers: dict[Digest, Future[BlobWriter]] = {digest: Future() for digest in self._missing}

    def receive(self, meanwhile: Callable[[], Result]) -> Result:
        """Fetch all, do something meanwhile, and return its result when both are done.

        The error of a fetch goes before that of ``meanwhile``, which only knows that a blob did not come.
        """
        if not self._missing:
            return meanwhile()
        with ThreadPoolExecutor(max_workers=_DOWNLOADS, thread_name_prefix="fetch") as pool:
            fetches = [pool.submit(self._fetch, descriptor) for descriptor in self._missing.values()]
            try:
                return meanwhile()
            finally:
                for fetch in fetches:
                    fetch.result()

    def open(self, layer: Layer) -> Blob:
        """Return a reader of a layer's blob, wherever it is."""
        writer = self._writers.get(layer.descriptor.digest)
        return writer.result().follow() if writer else self._shop.store.blobs.open(layer.descriptor.digest)

    def _fetch(self, descriptor: Descriptor) -> None:
        started = self._writers[descriptor.digest]
        try:
            with self._shop.store.blobs.writer(descriptor) as blob:
                started.set_result(blob)

                def write(piece: bytes) -> None:
                    blob.write(piece)
                    self._report(descriptor, blob.size)

                self._shop.fetch(self._image, descriptor, write)
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    def _report(self, descriptor: Descriptor, done: int) -> None:
        name = descriptor.digest.short
        self._shop.emit(Transferred(self._step, name, "downloading", done, descriptor.size))
