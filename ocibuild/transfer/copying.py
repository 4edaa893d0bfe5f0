"""The copy: blobs side by side, then the manifests below an index, then what gives them a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import DigestMismatch
from ocibuild.registry.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor
    from ocibuild.oci.image_io import BlobReader, ImageDestination, ImageSource
    from ocibuild.registry.parallel import Stop
    from ocibuild.transfer.plan import Plan


def copy(
    source: ImageSource,
    destination: ImageDestination,
    plan: Plan,
    *,
    progress: Callable[[Descriptor, int], None],
    abandon: Callable[[], None],
) -> None:
    """Write what ``plan`` says: only the blobs that the destination does not have, each byte verified.

    ``progress`` hears how many bytes of a blob are there, from several threads; ``abandon`` is called to wake those
    that wait where this thread is interrupted. Raises DigestMismatch, which names the source, and whatever source and
    destination raise; then the destination has no new name.
    """

    def copy_blob(blob: Descriptor, stop: Stop) -> None:
        def open_at(offset: int) -> BlobReader:
            return source.open_blob(blob, offset)

        def report(done: int) -> None:
            stop.check()
            progress(blob, done)

        if not destination.has_blob(blob):
            destination.put_blob(blob, open_at, report)

    try:
        in_parallel(copy_blob, plan.blobs, limit=destination.parallel, abandon=abandon)
    except DigestMismatch as error:
        if source.subject in error.message:
            raise
        raise DigestMismatch(f"{source.subject}: {error.message}", remedy=error.remedy) from error
    for document in plan.below:
        destination.put_manifest(document.descriptor, document.data)
    destination.finish(plan.root.descriptor, plan.root.data)
