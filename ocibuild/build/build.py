"""One request to one image: the Dockerfile is read and converted, the graph solved, the image written."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ocibuild.build.agents import Agents
from ocibuild.build.bases import Bases
from ocibuild.build.contexts import NamedContexts
from ocibuild.build.linting import new_linter
from ocibuild.build.maincontext import open_main
from ocibuild.build.remotes import Remotes
from ocibuild.build.request import BuildResult
from ocibuild.build.secrets import Secrets
from ocibuild.dockerfile import Options, convert, parse
from ocibuild.graph import Image, Warned
from ocibuild.oci import Digest, Platform
from ocibuild.output import assemble, write_image
from ocibuild.solver import Inputs, NobodyWaits, Solver, Workshop, nobody_told, root_of
from ocibuild.store import load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ocibuild.build.machine import Machine
    from ocibuild.build.request import BuildRequest
    from ocibuild.dockerfile import Dockerfile, NamedContext, Target
    from ocibuild.dockerfile.lint import Linter
    from ocibuild.executor import Executor
    from ocibuild.graph import Emit, Vertex
    from ocibuild.oci import Descriptor, Limits
    from ocibuild.registry import Registry
    from ocibuild.solver import Elsewhere, Packed, Solution
    from ocibuild.solver.dryrun import PlannedStep
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.source import LocalContext
    from ocibuild.store import Store


class Lent(NamedTuple):
    """What the user lends to the steps of a build."""

    secrets: Secrets
    agents: Agents


class _Converted(NamedTuple):
    """A request as the solver needs it."""

    target: Target
    contexts: Mapping[str, LocalContext]
    bases: Bases
    remotes: Remotes
    lent: Lent


class Builder:
    """Builds images with the machine, store and registry that it is given.

    ``ready`` hears, from any thread, of each new layer of the image while the build still goes on, ``packed`` of all
    that are packed, also of other stages; ``provided`` tells whether a layer need not come into the store for the
    image's sake. ``elsewhere`` are caches beyond the store. ``hold`` keeps from the terminal what is shown of events,
    for as long as somebody else has that.
    """

    def __init__(
        self,
        machine: Machine,
        store: Store,
        registry: Callable[[], Registry],
        stop: Callable[[], None],
        emit: Emit,
        limits: Callable[[], Limits],
        *,
        ready: Callable[[Descriptor], None] = nobody_told,
        packed: Packed | None = None,
        provided: Callable[[Descriptor], bool] = lambda _layer: False,
        elsewhere: Elsewhere | None = None,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        machine.use(store)
        self._provided = provided
        self._elsewhere = elsewhere
        self._ready = ready
        self._packed = packed or NobodyWaits()
        self._hold = hold
        self._machine = machine
        self._store = store
        self._registry = registry
        self._stop = stop
        self._emit = emit
        self._limits = limits

    def build(self, request: BuildRequest, *, after: int = 0) -> BuildResult:
        """Build the image and put it into the store under its tags; outputs beyond the store are the caller's.

        ``after`` is the number of the last step that events told of, for a build that is one of several.
        Raises DockerfileError, SourceError, RegistryError, SandboxError, StepFailed, StoreError; what was done until
        then stays cached.
        """
        with self._converted(request, after=after) as converted:
            return self._write(request, converted.target, self._solve(request, converted))

    def preview(self, request: BuildRequest) -> tuple[PlannedStep, ...]:
        """Return what a build would do; nothing is run, pulled, tagged or written.

        Manifests and configs of base images come into the store, and what a URL or a repository must be asked for.
        """
        from ocibuild.solver.dryrun import DryRun

        with self._converted(request, keep_tags=False) as converted:
            identify = converted.remotes.identify
            inputs = Inputs(self._store, converted.contexts, self._emit, identify, self._elsewhere)
            return tuple(DryRun(inputs, use_cache=request.use_cache).steps(converted.target.vertex))

    @contextmanager
    def _converted(self, request: BuildRequest, *, after: int = 0, keep_tags: bool = True) -> Iterator[_Converted]:
        """Give what a request comes to, once the Dockerfile is read and everything outside of it is found."""
        secrets = Secrets(request.secrets, os.environ)
        remotes = Remotes(self._store, self._registry, self._emit, secrets, steps=after)
        with (
            open_main(request, self._store, remotes, self._machine.ownership) as main,
            NamedContexts.open(request.contexts) as named,
            Agents(request.agents, os.environ) as agents,
        ):
            dockerfile = parse(main.dockerfile, file=main.file)
            linter = new_linter(dockerfile, request, main)
            bases = Bases(
                self._store,
                self._registry,
                self._emit,
                pull=request.pull,
                layouts=named.layouts,
                steps=remotes.steps,
                asked_for=request.platform if request.platform != Platform.host() else None,
                keep_tags=keep_tags and not (request.is_part and request.platform != Platform.host()),
            )
            target = self._convert(dockerfile, conversion_options(request, named.kinds), linter, bases)
            remotes.steps = bases.steps
            remotes.look_up(target.vertex)
            contexts = {"": main.context, **named.folders}
            yield _Converted(target, contexts, bases, remotes, Lent(secrets, agents))

    def _convert(self, dockerfile: Dockerfile, options: Options, linter: Linter, bases: Bases) -> Target:
        """Convert the Dockerfile, telling what the linter finds; raises LintFailed where that is an error."""
        linter.read(dockerfile, options)
        try:
            target = convert(dockerfile, replace(options, observers=(linter,)), bases.resolve)
        finally:
            for finding in linter.findings:
                self._emit(Warned(str(finding)))
        linter.judge()
        for warning in target.warnings:
            self._emit(Warned(warning))
        return target

    def _solve(self, request: BuildRequest, converted: _Converted) -> Solution:
        target, contexts, bases, remotes, lent = converted
        inputs = Inputs(self._store, contexts, self._emit, remotes.identify, self._elsewhere)
        with ExitStack() as cleanup:
            solver = Solver(
                inputs,
                lambda: self._workshop(inputs, bases, remotes, lent, cleanup, request),
                jobs=request.jobs,
                use_cache=request.use_cache,
                pack_all=any(cache.everything for cache in request.cache_to),
                first_step=remotes.steps + 1,
            )
            return solver.solve(target.vertex)

    def _workshop(
        self,
        inputs: Inputs,
        bases: Bases,
        remotes: Remotes,
        lent: Lent,
        cleanup: ExitStack,
        request: BuildRequest,
    ) -> Workshop:
        """Make this machine ready to make something; raise SandboxError where it refuses."""
        from ocibuild.layer import compression_threads

        executor = self._machine.executor(self._warn)
        ownership = self._machine.ownership()
        self._store.locks.resume()
        self._store.snapshots.recover()
        self._store.trees.recover()
        self._store.caches.recover()
        snapshotter = self._machine.snapshotter(self._store, self._warn)
        cleanup.callback(snapshotter.close)

        def stop() -> None:
            executor.stop()
            remotes.stop()
            self._store.locks.stop()
            self._stop()

        return Workshop(
            store=inputs.store,
            contexts=inputs.contexts,
            emit=inputs.emit,
            identify=inputs.identify,
            elsewhere=inputs.elsewhere,
            snapshotter=snapshotter,
            executor=executor,
            ownership=ownership,
            origin_of=bases.origin_of,
            bring=remotes.bring,
            stop=stop,
            secrets=lent.secrets,
            agents=lent.agents,
            ready=self._ready,
            packed=self._packed,
            provided=self._provided,
            limits=self._limits,
            pasta=request.pasta,
            threads=compression_threads(),
            look_at=self._debugger(executor) if request.debug_on_failure else None,
        )

    def _debugger(self, executor: Executor) -> Callable[[Aftermath], None]:
        from ocibuild.build.debugging import open_shell

        return partial(open_shell, executor, self._hold)

    def _warn(self, message: str) -> None:
        self._emit(Warned(message))

    def _write(self, request: BuildRequest, target: Target, solution: Solution) -> BuildResult:
        config = assemble(
            target.config, self._inherited(target.vertex), solution.layers, [record.created for record in solution.own]
        )
        layers = [layer.descriptor for layer in solution.base]
        layers += self._own_layers(request, solution)
        descriptor = write_image(self._store.blobs, config, layers, request.annotations)
        names = tuple(dict.fromkeys([*request.tags, *(name for output in request.outputs for name in output.names)]))
        if request.keeps_image and all(self._store.blobs.has(layer.digest) for layer in layers):
            self._store.tags.give(descriptor, names)
        image_id = Digest.of(config.to_bytes(validated=False))
        return BuildResult(image_id, descriptor, names, solution.own, solution.others, solution.last_step)

    def _own_layers(self, request: BuildRequest, solution: Solution) -> list[Descriptor]:
        if not any(cache.is_inline for cache in request.cache_to):
            return [record.layer.descriptor for record in solution.own]
        from ocibuild.cache import annotated

        return list(map(annotated, solution.own))

    def _inherited(self, vertex: Vertex) -> int:
        """Return how many history entries come from the base image."""
        root = root_of(vertex)
        if not isinstance(root, Image) or root.digest is None:
            return 0
        return len(load_image(self._store.blobs, root.digest, root.platform).config.history)


def conversion_options(request: BuildRequest, contexts: Mapping[str, NamedContext]) -> Options:
    """Return what the conversion of the Dockerfile depends on."""
    return Options(
        target=request.target,
        build_args=request.build_args,
        platform=request.platform,
        build_platform=Platform.host(),
        labels=request.labels,
        network=request.network,
        allowed=request.allowed,
        extra_hosts=request.extra_hosts,
        shm_size=request.shm_size,
        ulimits=request.ulimits,
        anew=request.anew,
        contexts=contexts,
    )
