"""One request to one image: the Dockerfile is read and converted, the graph solved, the image written."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.build.agents import Agents
from ocibuild.build.bases import Bases
from ocibuild.build.contexts import NamedContexts
from ocibuild.build.linting import new_linter
from ocibuild.build.maincontext import open_main
from ocibuild.build.platforms import labelled
from ocibuild.build.remotes import Remotes
from ocibuild.build.request import BuildResult
from ocibuild.build.secrets import Secrets
from ocibuild.dockerfile import Options, convert, parse
from ocibuild.graph import Image, Warned
from ocibuild.oci import Digest, Platform
from ocibuild.output import assemble, write_image
from ocibuild.solver import Inputs, NoOutlet, Solver, Workshop, root_of
from ocibuild.store import load_image
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ocibuild.build.maincontext import MainContext
    from ocibuild.build.request import BuildRequest
    from ocibuild.dockerfile import Dockerfile, NamedContext, Target
    from ocibuild.dockerfile.lint import Linter
    from ocibuild.executor import Executor
    from ocibuild.graph import Emit, Vertex
    from ocibuild.machine import Machine
    from ocibuild.oci import Descriptor, Limits
    from ocibuild.registry import Registry
    from ocibuild.solver import Elsewhere, Outlet, Solution
    from ocibuild.solver.dryrun import PlannedStep
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.source import LocalContext
    from ocibuild.store import Store


class Lent(NamedTuple):
    """What the user lends to the steps of a build."""

    secrets: Secrets
    agents: Agents


class _Opened(NamedTuple):
    """What a request is about, once it is open: the same for every platform."""

    main: MainContext
    named: NamedContexts
    remotes: Remotes
    lent: Lent

    @property
    def contexts(self) -> Mapping[str, LocalContext]:
        """The build contexts that have files, by name."""
        return {"": self.main.context, **self.named.folders}


class _Part(NamedTuple):
    """The build of one image, as the solver needs it; ``emit`` is told of its steps."""

    request: BuildRequest
    target: Target
    bases: Bases
    emit: Emit


class Builder:
    """Builds images with the machine, store and registry that it is given.

    ``outlet`` takes layers while the build still goes on, ``elsewhere`` are caches beyond the store. ``hold`` keeps
    from the terminal what is shown of events, for as long as somebody else has that.
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
        outlet: Outlet | None = None,
        elsewhere: Elsewhere | None = None,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        machine.use(store)
        self._outlet = outlet or NoOutlet()
        self._elsewhere = elsewhere
        self._hold = hold
        self._machine = machine
        self._store = store
        self._registry = registry
        self._stop = stop
        self._emit = emit
        self._limits = limits

    def build(self, request: BuildRequest, *, after: int = 0) -> tuple[BuildResult, ...]:
        """Build the image of each platform and put it into the store; outputs beyond the store are the caller's.

        The one image of a request gets its names. All that the images are made from is read before the first is made,
        and what is the same for several is made once. ``after`` is the number of the last step that events told of.
        Raises DockerfileError, SourceError, RegistryError, SandboxError, StepFailed, StoreError; what was done until
        then stays cached.
        """
        made_now: set[Digest] = set()
        results: list[BuildResult] = []
        with self._opened(request, after) as opened:
            parts = self._parts(request, opened)
            cleanups = [ExitStack() for _ in parts]
            solvers = [self._solver(*one, opened, made_now) for one in zip(parts, cleanups, strict=True)]
            for solver in solvers:
                solver.compute_keys()
            step = opened.remotes.steps
            for part, solver, cleanup in zip(parts, solvers, cleanups, strict=True):
                with cleanup:
                    results.append(self._write(part.request, part.target, solver.solve(after=step)))
                step = results[-1].last_step
        return tuple(results)

    def preview(self, request: BuildRequest) -> tuple[PlannedStep, ...]:
        """Return what the build of one image would do; nothing is run, pulled, tagged or written.

        Manifests and configs of base images come into the store, and what a URL or a repository must be asked for.
        """
        from ocibuild.solver.dryrun import DryRun

        with self._opened(request, 0) as opened:
            (part,) = self._parts(request, opened, keep_tags=False)
            return tuple(DryRun(self._inputs(part, opened), use_cache=request.use_cache).steps(part.target.vertex))

    @contextmanager
    def _opened(self, request: BuildRequest, after: int) -> Iterator[_Opened]:
        """Open everything that a request takes from outside, but for base images."""
        secrets = Secrets(request.secrets, os.environ)
        remotes = Remotes(self._store, self._registry, self._emit, secrets)
        remotes.steps = after
        with (
            open_main(request, self._store, remotes, self._machine.ownership) as main,
            NamedContexts.open(request.contexts) as named,
            Agents(request.agents, os.environ) as agents,
        ):
            yield _Opened(main, named, remotes, Lent(secrets, agents))

    def _parts(self, request: BuildRequest, opened: _Opened, *, keep_tags: bool = True) -> list[_Part]:
        """Convert the Dockerfile for each platform, and find out about all that is elsewhere."""
        main, remotes = opened.main, opened.remotes
        dockerfile = parse(main.dockerfile, file=main.file)
        parts = []
        warned: set[str] = set()
        for one in request.parts:
            emit = labelled(self._emit, one.platform, warned) if request.is_index else self._emit
            bases = Bases(
                self._store,
                self._registry,
                emit,
                pull=request.pull,
                layouts=opened.named.layouts,
                steps=remotes.steps,
                asked_for=one.platform if one.platform != Platform.host() else None,
                keep_tags=keep_tags,
            )
            linter = new_linter(dockerfile, one, main)
            target = self._convert(dockerfile, conversion_options(one, opened.named.kinds), linter, bases, emit)
            remotes.steps = bases.steps
            remotes.look_up(target.vertex)
            parts.append(_Part(one, target, bases, emit))
        return parts

    def _convert(self, dockerfile: Dockerfile, options: Options, linter: Linter, bases: Bases, emit: Emit) -> Target:
        """Convert the Dockerfile, telling what the linter finds; raises LintFailed where that is an error."""
        linter.read(dockerfile, options)
        try:
            target = convert(dockerfile, replace(options, observers=(linter,)), bases.resolve)
        finally:
            for finding in linter.findings:
                emit(Warned(str(finding)))
        linter.judge()
        for warning in target.warnings:
            emit(Warned(warning))
        return target

    def _inputs(self, part: _Part, opened: _Opened) -> Inputs:
        return Inputs(self._store, opened.contexts, part.emit, opened.remotes.identify, self._elsewhere)

    def _solver(self, part: _Part, cleanup: ExitStack, opened: _Opened, made_now: set[Digest]) -> Solver:
        """Return what solves a part; ``cleanup`` is left when it has."""
        request, inputs = part.request, self._inputs(part, opened)
        return Solver(
            inputs,
            part.target.vertex,
            lambda: self._workshop(inputs, part, opened, cleanup),
            jobs=request.jobs,
            use_cache=request.use_cache,
            pack_all=any(cache.everything for cache in request.cache_to),
            made_now=made_now,
        )

    def _workshop(self, inputs: Inputs, part: _Part, opened: _Opened, cleanup: ExitStack) -> Workshop:
        """Make this machine ready to make something; raise SandboxError where it refuses."""
        from ocibuild.layer.compression import compression_threads

        request, remotes = part.request, opened.remotes

        def warn(message: str) -> None:
            part.emit(Warned(message))

        executor = self._machine.executor(warn)
        ownership = self._machine.ownership()
        self._store.locks.resume()
        self._store.snapshots.recover()
        self._store.trees.recover()
        self._store.caches.recover()
        snapshotter = self._machine.snapshotter(self._store, warn)
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
            origin_of=part.bases.origin_of,
            bring=remotes.bring,
            stop=stop,
            secrets=opened.lent.secrets,
            agents=opened.lent.agents,
            outlet=self._outlet,
            limits=self._limits,
            pasta=request.pasta,
            threads=compression_threads(),
            look_at=self._debugger(executor) if request.debug_on_failure else None,
        )

    def _debugger(self, executor: Executor) -> Callable[[Aftermath], None]:
        from ocibuild.build.debugging import open_shell

        return partial(open_shell, executor, self._hold)

    def _write(self, request: BuildRequest, target: Target, solution: Solution) -> BuildResult:
        config = assemble(
            target.config, self._inherited(target.vertex), solution.layers, [record.created for record in solution.own]
        )
        layers = [layer.descriptor for layer in solution.base]
        layers += self._own_layers(request, solution)
        descriptor = write_image(self._store.blobs, config, layers, request.annotations)
        is_done = request.keeps_image and not request.verifies  # else it gets its names when it is verified
        if is_done and all(self._store.blobs.has(layer.digest) for layer in layers):
            self._store.tags.give(descriptor, request.names)
        image_id = Digest.of(config.to_bytes(validated=False))
        return BuildResult(image_id, descriptor, request.names, solution.own, solution.others, solution.last_step)

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
