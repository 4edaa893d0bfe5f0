"""Where an image goes: into the store, to registries, which may get layers while it is built, archives, and caches."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ocibuild.build.request import BuildResult
from ocibuild.errors import OcibuildError
from ocibuild.graph import Transferred, Warned, told
from ocibuild.output import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.build.request import BuildRequest
    from ocibuild.cache import Caches, CacheTo
    from ocibuild.graph import Emit
    from ocibuild.machine import Machine
    from ocibuild.oci import Descriptor, Limits, Platform, Reference
    from ocibuild.output import Encoding, OutputSpec
    from ocibuild.registry import Registry
    from ocibuild.store import BlobWriter, Store, StoredImage
    from ocibuild.transfer import Push


class Delivery:
    """The outputs of one build; a context manager, which ends what is still under way."""

    def __init__(
        self,
        request: BuildRequest,
        store: Store,
        machine: Machine,
        registry: Callable[[], Registry],
        limits: Callable[[], Limits],
        emit: Emit,
    ) -> None:
        self._request = request
        self._store = store
        self._machine = machine
        self._registry = registry
        self._limits = limits
        self._emit = emit
        self._cleanup = ExitStack()
        self._push: Push | None = None
        self._caching: dict[CacheTo, Push] = {}  # of the caches whose layers are sent as they come
        self._step = 0
        self._forms: dict[tuple[Descriptor, Encoding, str], BuildResult] = {}  # each is made once
        # what is sent as it was built can be sent while more is built
        early = [output for output in request.outputs if output.push and not output.is_rewritten]
        self._names = tuple(name for output in early for name in self._names_of(output))

    def __enter__(self) -> Self:
        if self._names:
            from ocibuild.transfer import Push

            self._push = self._cleanup.enter_context(Push(self._registry(), self._store, self._names))
        # a registry that gets the image takes the layers of the cache from there, without one more upload
        pushed_to = {name.domain for output in self._request.outputs if output.push for name in self._names_of(output)}
        for spec in self._request.cache_to:
            if spec.reference is not None and spec.reference.domain not in pushed_to:
                from ocibuild.transfer import Push

                push = Push(self._registry(), self._store, [spec.reference])
                self._caching[spec] = self._cleanup.enter_context(push)
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
        return Caches.open(request.cache_from, self._registry, self._store, request.all_platforms, self._warn)

    def arrived(self, layer: Descriptor, /) -> None:
        """Send a layer of the image that is in the store now; see ``ocibuild.solver.Outlet``."""
        if self._push is not None:
            self._push.begin(layer)

    def growing(self, blob: BlobWriter, /, *, is_own: bool) -> None:
        """Send a large layer that is still being packed; see ``ocibuild.solver.Outlet``."""
        for push in self._pushes(is_own=is_own):
            push.begin_growing(blob)

    def packed(self, layer: Descriptor, /, *, is_own: bool) -> None:
        """Send a layer that was packed; see ``ocibuild.solver.Outlet``."""
        for push in self._pushes(is_own=is_own):
            push.begin(layer)

    def _pushes(self, *, is_own: bool) -> list[Push]:
        """Return the pushes that want a layer, to where the image goes and to caches."""
        image = [self._push] if self._push is not None and is_own else []
        return image + [push for spec, push in self._caching.items() if is_own or spec.everything]

    def provides(self, layer: Descriptor, /) -> bool:
        """See ``ocibuild.solver.Outlet``."""
        is_only_pushed = all(
            output.kind is Kind.REGISTRY and not output.is_rewritten for output in self._request.outputs
        )
        return self._push is not None and is_only_pushed and self._push.provides(layer)

    def verify(self, results: Sequence[BuildResult], again: Sequence[BuildResult]) -> None:
        """Raise OcibuildError where two builds differ, in the form whose times are bounded where an output has one.

        What of the second one is another is left to be pruned.
        """
        self._step = again[-1].last_step
        for pair in zip(results, again, strict=True):
            self._verify(pair)

    def _verify(self, pair: tuple[BuildResult, BuildResult]) -> None:
        from ocibuild.output.compare import first_difference

        bounded = next((output for output in self._request.outputs if output.encoding.rewrites_times), None)
        built = [self._rewritten(bounded, one) if bounded else one for one in pair]
        images = [self._load(one) for one in built]
        difference = first_difference(self._store.blobs, *images)
        if difference is not None:
            raise OcibuildError(
                f"a second build is not the same image: {difference}",
                remedy=None if bounded else "SOURCE_DATE_EPOCH and rewrite-timestamp=true of an output bound all times",
            )

    def finish(self, results: Sequence[BuildResult]) -> BuildResult:
        """Write the outputs, then what others may find in caches: of the image, or of the index of several.

        Return the result as the first output that is an image has it.
        """
        self._step = max(self._step, results[-1].last_step)
        whole = self._whole(results)
        is_new = self._request.is_index or self._request.verifies
        if is_new and self._request.keeps_image and all(map(self._is_complete, results)):
            self._store.tags.give(whole.descriptor, whole.tags)
        delivered = [self._deliver(output, results) for output in self._request.outputs]
        if self._push is not None:
            self._step += 1
            finish_push(self._push, whole.descriptor, self._names, self._emit, step=self._step)
        self._export(results)
        return next((one for one in delivered if one is not None), whole)

    def _whole(self, results: Sequence[BuildResult], output: OutputSpec | None = None) -> BuildResult:
        """Return what is delivered: the one image, or an index of all, in the form that an output asks for."""
        if not self._request.is_index:
            return results[0]
        from ocibuild.build.platforms import write_index

        annotations = {**self._request.index_annotations, **(output.index_annotations if output else {})}
        images = [result.descriptor for result in results]
        is_oci = output is None or output.encoding.is_oci
        index = write_index(self._store.blobs, images, annotations, is_oci=is_oci)
        return BuildResult(
            index.digest,
            index,
            self._request.names,
            tuple(record for result in results for record in result.own),
            tuple(record for result in results for record in result.others),
            self._step,
        )

    def _load(self, result: BuildResult) -> StoredImage:
        from ocibuild.store import load_image

        return load_image(self._store.blobs, result.descriptor.digest, self._platform(result))

    def _platform(self, result: BuildResult) -> Platform:
        return result.descriptor.platform or self._request.platform

    def _is_complete(self, result: BuildResult) -> bool:
        return all(self._store.blobs.has(layer.descriptor.digest) for layer in self._load(result).layers)

    def _deliver(self, output: OutputSpec, results: Sequence[BuildResult]) -> BuildResult | None:
        """Write one output, but for what is pushed as it was built; return the image that it is, if it is one."""
        if not output.is_image:
            for result in results:
                self._write_tree(output, result)
            return None
        forms = [self._rewritten(output, result) if output.is_rewritten else result for result in results]
        rewritten = self._whole(forms, output)
        descriptor, names = rewritten.descriptor, self._names_of(output)
        match output.kind:
            case Kind.OCI | Kind.DOCKER:
                self._write_archive(output, descriptor, names)
            case Kind.IMAGE if output.is_rewritten:
                self._store.tags.give(descriptor, rewritten.tags)
        if output.push and output.is_rewritten:
            self._push_late(descriptor, names)
        return rewritten

    def _names_of(self, output: OutputSpec) -> tuple[Reference, ...]:
        return output.names or self._request.tags

    def _rewritten(self, output: OutputSpec, result: BuildResult) -> BuildResult:
        form = result.descriptor, output.encoding, repr(sorted(output.annotations.items()))
        if form not in self._forms:
            self._forms[form] = self._rewrite(output, result)
        return self._forms[form]

    def _rewrite(self, output: OutputSpec, result: BuildResult) -> BuildResult:
        from ocibuild.dockerfile import source_date
        from ocibuild.output.rewrite import Rewriting, rewrite_image

        epoch, own = source_date(self._request.build_args), len(result.own)
        wanted = Rewriting(output.encoding, output.annotations, own, epoch)
        self._step += 1
        with told(self._emit, self._step, f"rewriting layers for type={output.kind}"):
            descriptor = rewrite_image(self._store.blobs, result.descriptor, self._platform(result), wanted)
        rewritten = replace(result, descriptor=descriptor)
        return replace(rewritten, image_id=self._load(rewritten).manifest.config.digest)

    def _write_archive(self, output: OutputSpec, descriptor: Descriptor, names: Sequence[Reference]) -> None:
        from ocibuild.archive import NamedImage, write_archive, write_layout

        image = NamedImage(descriptor, tuple(dict.fromkeys(names)))
        if output.is_folder:
            write_layout(self._store.blobs, [image], output.dest)
        else:
            write_archive(self._store.blobs, [image], output.dest, for_docker=output.kind is Kind.DOCKER)

    def _push_late(self, descriptor: Descriptor, names: Sequence[Reference]) -> None:
        from ocibuild.transfer import Push

        self._step += 1
        with Push(self._registry(), self._store, names) as push:
            finish_push(push, descriptor, names, self._emit, step=self._step)

    def _write_tree(self, output: OutputSpec, result: BuildResult) -> None:
        if output.kind is Kind.NOTHING:
            return
        from ocibuild.build.treeoutput import write_tree

        image = self._load(result)
        if self._request.is_index:  # each has a folder of its own, with docker's name for it
            output = replace(output, dest=os.path.join(output.dest, str(self._platform(result)).replace("/", "_")))
        self._step += 1
        with told(self._emit, self._step, f"exporting files to {output.dest}"):
            write_tree(output, image, self._store, self._machine, self._limits, self._warn)

    def _export(self, results: Sequence[BuildResult]) -> None:
        for spec in [spec for spec in self._request.cache_to if not spec.is_inline]:
            from ocibuild.cache import export, place_of

            self._step += 1
            own = {record.key: record for result in results for record in result.own}
            others = {record.key: record for result in results for record in result.others}
            records = tuple({**own, **others}.values() if spec.everything else own.values())
            place = place_of(spec, self._registry, self._store, self._request.all_platforms)
            with told(self._emit, self._step, f"exporting the cache to {place.subject}"):
                begun = self._caching.get(spec)
                export(place, records, self._store, self.caches, self._warn, settle=begun.settle if begun else None)

    def _warn(self, message: str) -> None:
        self._emit(Warned(message))


def finish_push(push: Push, descriptor: Descriptor, names: Sequence[Reference], emit: Emit, *, step: int) -> None:
    """Send what is missing of an image, and give it its names; events tell of it as ``step``."""

    def report(blob: Descriptor, done: int) -> None:
        emit(Transferred(step, blob.digest.short, "uploading", done, blob.size))

    with told(emit, step, f"pushing {', '.join(str(name) for name in names)}"):
        push.finish(descriptor, progress=report)
