"""Where an image goes beyond the store: registries, which may get layers while it is built, archives, and caches."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ocibuild.graph import Transferred, Warned, told
from ocibuild.output import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.build.request import BuildRequest, BuildResult
    from ocibuild.cache import Caches
    from ocibuild.graph import Emit
    from ocibuild.oci import Descriptor, Reference
    from ocibuild.output import OutputSpec
    from ocibuild.registry import Registry
    from ocibuild.store import Store
    from ocibuild.transfer import Push


class Delivery:
    """The outputs of one build; a context manager, which ends what is still under way."""

    def __init__(self, request: BuildRequest, store: Store, registry: Callable[[], Registry], emit: Emit) -> None:
        self._request = request
        self._store = store
        self._registry = registry
        self._emit = emit
        self._cleanup = ExitStack()
        self._push: Push | None = None
        pushed = [output for output in request.outputs if output.push]
        self._names = tuple(name for output in pushed for name in output.names or request.tags)

    def __enter__(self) -> Self:
        if self._names:
            from ocibuild.transfer import Push

            self._push = self._cleanup.enter_context(Push(self._registry(), self._store, self._names))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._cleanup.__exit__(kind, error, trace)  # type: ignore[arg-type]

    @cached_property
    def caches(self) -> Caches | None:
        """The caches beyond the store that the build looks into, None where it was given none."""
        if not self._request.cache_from:
            return None
        from ocibuild.cache import Caches

        request = self._request
        return Caches.open(request.cache_from, self._registry, self._store, request.platform, self._warn)

    def begin(self, layer: Descriptor) -> None:
        """Send a layer of the image that is in the store, from any thread."""
        if self._push is not None:
            self._push.begin(layer)

    def provides(self, layer: Descriptor) -> bool:
        """Tell, from any thread, whether a layer need not come into the store: all who get the image have it."""
        outputs = self._request.outputs
        is_only_pushed = all(output.kind is Kind.REGISTRY for output in outputs)
        return self._push is not None and is_only_pushed and self._push.provides(layer)

    def finish(self, result: BuildResult) -> None:
        """Write the outputs, then what others may find in caches."""
        for output in self._request.outputs:
            self._write(output, result)
        step = result.last_step
        if self._push is not None:
            step += 1
            finish_push(self._push, result.descriptor, self._names, self._emit, step=step)
        self._export(result, step)

    def _write(self, output: OutputSpec, result: BuildResult) -> None:
        if output.kind is Kind.OCI:
            from ocibuild.archive import write_oci_archive

            names = output.names or result.tags
            write_oci_archive(self._store.blobs, result.descriptor, names, output.dest)

    def _export(self, result: BuildResult, last_step: int) -> None:
        specs = [spec for spec in self._request.cache_to if not spec.is_inline]
        for step, spec in enumerate(specs, last_step + 1):
            from ocibuild.cache import export, place_of

            records = (*result.own, *result.others) if spec.everything else result.own
            place = place_of(spec, self._registry, self._store, self._request.platform)
            with told(self._emit, step, f"exporting the cache to {place.subject}"):
                export(place, records, self._store, self.caches, self._warn)

    def _warn(self, message: str) -> None:
        self._emit(Warned(message))


def finish_push(push: Push, descriptor: Descriptor, names: Sequence[Reference], emit: Emit, *, step: int) -> None:
    """Send what is missing of an image, and give it its names; events tell of it as ``step``."""

    def report(blob: Descriptor, done: int) -> None:
        emit(Transferred(step, blob.digest.short, "uploading", done, blob.size))

    with told(emit, step, f"pushing {', '.join(str(name) for name in names)}"):
        push.finish(descriptor, progress=report)
