"""One request to one image: the Dockerfile is read and converted, the graph solved, the image written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.build.bases import Bases
from ocibuild.build.request import BuildResult
from ocibuild.dockerfile import Options, convert, parse
from ocibuild.errors import SourceError
from ocibuild.graph import Image, Warned
from ocibuild.oci import Digest, Platform
from ocibuild.output import assemble, write_image
from ocibuild.solver import Inputs, Solver, Workshop, root_of
from ocibuild.source import LocalContext
from ocibuild.store import load_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.build.machine import Machine
    from ocibuild.build.request import BuildRequest
    from ocibuild.dockerfile import Target
    from ocibuild.graph import Emit, Vertex
    from ocibuild.registry import Registry
    from ocibuild.solver import Solution
    from ocibuild.store import Store

_USUAL_NAMES = ("Dockerfile", "Containerfile")
_DOCKERFILE_LIMIT = 16 << 20


class Builder:
    """Builds images with the machine, store and registry that it is given."""

    def __init__(
        self, machine: Machine, store: Store, registry: Callable[[], Registry], stop: Callable[[], None], emit: Emit
    ) -> None:
        self._machine = machine
        self._store = store
        self._registry = registry
        self._stop = stop
        self._emit = emit

    def build(self, request: BuildRequest) -> BuildResult:
        """Build the image and put it into the store under its tags; outputs beyond the store are the caller's.

        Raises DockerfileError, SourceError, RegistryError, SandboxError, StepFailed, StoreError; what was done until
        then stays cached.
        """
        path = request.dockerfile or _usual_path(request.context)
        from_stdin = path == "-"
        with LocalContext.open(request.context, dockerfile=None if from_stdin else path) as context:
            dockerfile = parse(_read_dockerfile(path), file="Dockerfile" if from_stdin else path)
            bases = Bases(self._store, self._registry, self._emit, pull=request.pull)
            target = convert(dockerfile, _options(request), bases.resolve)
            for warning in target.warnings:
                self._emit(Warned(warning))
            return self._write(request, target, self._solve(request, target, context, bases))

    def _solve(self, request: BuildRequest, target: Target, context: LocalContext, bases: Bases) -> Solution:
        inputs = Inputs(self._store, {"": context}, self._emit)
        solver = Solver(
            inputs,
            lambda: self._workshop(inputs, bases),
            jobs=request.jobs,
            use_cache=request.use_cache,
            first_step=bases.steps + 1,
        )
        return solver.solve(target.vertex)

    def _workshop(self, inputs: Inputs, bases: Bases) -> Workshop:
        """Make this machine ready to make something; raise SandboxError where it refuses."""
        from ocibuild.rootfs import OverlaySnapshotter

        executor = self._machine.executor()
        ownership = self._machine.ownership()
        snapshotter = OverlaySnapshotter(self._store, ownership)
        snapshotter.prepare()
        self._store.locks.resume()
        self._store.snapshots.recover()

        def stop() -> None:
            executor.stop()
            self._store.locks.stop()
            self._stop()

        return Workshop(inputs.store, inputs.contexts, inputs.emit, snapshotter, executor, ownership, bases.fetch, stop)

    def _write(self, request: BuildRequest, target: Target, solution: Solution) -> BuildResult:
        config = assemble(target.config, self._inherited(target.vertex), solution.layers, solution.created)
        descriptor = write_image(self._store.blobs, config, solution.layers, request.annotations)
        names = tuple(dict.fromkeys([*request.tags, *(name for output in request.outputs for name in output.names)]))
        for name in names:
            self._store.tags.set(name, descriptor)
        if not names:
            self._store.tags.keep(descriptor)
        return BuildResult(Digest.of(config.to_bytes(validated=False)), descriptor, names, solution.last_step)

    def _inherited(self, vertex: Vertex) -> int:
        """Return how many history entries come from the base image."""
        root = root_of(vertex)
        if not isinstance(root, Image) or root.digest is None:
            return 0
        return len(load_image(self._store.blobs, root.digest, root.platform).config.history)


def _options(request: BuildRequest) -> Options:
    return Options(
        target=request.target,
        build_args=request.build_args,
        platform=request.platform,
        build_platform=Platform.host(),
        labels=request.labels,
        network=request.network,
    )


def _read_dockerfile(path: str) -> bytes:
    """Return the content of a Dockerfile, ``-`` for standard input; raise SourceError where there is none."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            text = file.read(_DOCKERFILE_LIMIT + 1)
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such Dockerfile", remedy="--file names another") from error
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", remedy="--file names another Dockerfile") from error
    if len(text) > _DOCKERFILE_LIMIT:
        raise SourceError(f"{path}: more than {_DOCKERFILE_LIMIT >> 20} MiB is no Dockerfile")
    return text


def _usual_path(context: str) -> str:
    paths = [os.path.join(context, name) for name in _USUAL_NAMES]
    return next((path for path in paths if os.path.exists(path)), paths[0])
