"""From a graph to layers: what is cached is looked up first, the rest is run, and packed while the next step runs."""

from __future__ import annotations

import errno
import time
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import Interrupted, OcibuildError, SourceError
from ocibuild.graph import (
    BindMount,
    CacheMount,
    Context,
    Copy,
    CopySource,
    Finished,
    GitTree,
    HttpFile,
    Image,
    Inline,
    MakeDirectory,
    Run,
    Scratch,
    Started,
    sources,
)
from ocibuild.oci import chain_id, chain_ids, prepare_validation
from ocibuild.solver.keys import Keys
from ocibuild.solver.operations.sources import context_digest, stage_digest
from ocibuild.solver.plan import (
    LayerVertex,
    MadeVertex,
    base_chain,
    files_of,
    make_plan,
    root_of,
    to_make_anew,
    topological,
    waits_for,
)
from ocibuild.solver.pool import Pool, Task
from ocibuild.solver.results import Made, Solution
from ocibuild.store import Record, load_image, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.graph import Mount, Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.solver.plan import Plan
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.store import ActiveSnapshot, Layer, Snapshot

_STEP, _PACK = 0, 1  # ranks: a step that others wait for goes before the packing of one that is done


class Solver:
    """Solves one target, ``jobs`` steps at a time.

    ``open_workshop`` is called once, and only where something must be made; it raises SandboxError where nothing can.
    ``use_cache`` is whether results from before may be used; new ones are always kept. ``first_step`` numbers the
    first step for events.
    """

    def __init__(
        self,
        inputs: Inputs,
        open_workshop: Callable[[], Workshop],
        *,
        jobs: int,
        use_cache: bool = True,
        first_step: int = 1,
    ) -> None:
        self._inputs = inputs
        self._open_workshop = open_workshop
        self._jobs = jobs
        self._use_cache = use_cache
        self._pool = Pool()
        self._last_step = first_step - 1
        self._keys = Keys(self._image_key, partial(context_digest, inputs), inputs.identify)
        self._images: dict[Digest, tuple[Layer, ...]] = {}  # by the manifest's digest
        # by key: the snapshots of images, where they were wanted, and the results of other vertices
        self._roots: dict[Digest, tuple[Snapshot, ...]] = {}
        self._made: dict[Digest, Made] = {}
        # the keys of what is to be made anew, and of those and all that rests on them
        self._anew: frozenset[Digest] = frozenset()
        self._outdated: frozenset[Digest] = frozenset()

    def solve(self, target: Vertex) -> Solution:
        """Return the layers of ``target``, made where they are not cached, each with its blob in the store.

        Raises StepFailed, SandboxError, SourceError, RegistryError and what else the operations raise, with the
        location of the instruction; what was done until then stays cached.
        """
        for vertex in topological(target):
            with _located(vertex):
                self._keys.compute(vertex)
        self._anew, self._outdated = to_make_anew(target, self._keys)
        with self._inputs.store.transaction():  # each that is found is marked as used
            plan = make_plan(target, self._keys, self._cached)
        self._made.update(plan.made)
        tasks = self._tasks(plan)
        if tasks:
            self._pool.run(tasks, jobs=self._jobs, stop=self._shop.stop, meanwhile=prepare_validation)
        return self._solution(plan)

    @cached_property
    def _shop(self) -> Workshop:
        return self._open_workshop()

    def _image_key(self, image: Image) -> str:
        if image.digest is None:
            raise AssertionError(f"{image.reference} was not resolved")
        layers = self._layers(image)
        return chain_id([layer.diff_id for layer in layers]) if layers else "empty"

    def _layers(self, image: Vertex) -> tuple[Layer, ...]:
        """Return the layers of an image, none for the empty tree."""
        if not isinstance(image, Image) or image.digest is None:
            return ()
        known = self._images.get(image.digest)
        if known is None:
            known = load_image(self._inputs.store.blobs, image.digest, image.platform).layers
            self._images[image.digest] = known
        return known

    def _cached(self, key: Digest) -> Made | None:
        return self._recorded(key) if self._use_cache and key not in self._outdated else None

    def _recorded(self, key: Digest) -> Made | None:
        record = self._inputs.store.records.get(key)
        snapshot = self._inputs.store.snapshots.by_id(record.snapshot) if record else None
        return Made(snapshot, record.created) if record and snapshot else None

    def _tasks(self, plan: Plan) -> list[Task]:
        """Return the tasks for what is not there yet, each after those of what it needs."""
        own = [vertex for vertex in plan.chain if isinstance(vertex, LayerVertex)]
        unpacked = [vertex for vertex in own if self._must_pack(vertex)]
        # packing looks at what lies below
        files = plan.files | {self._keys[root_of(tree)] for vertex in unpacked for tree in files_of(vertex)[:1]}
        tasks: dict[Digest, Task] = {}
        for vertex in plan.vertices:
            key = self._keys[vertex]
            after = [tasks[self._keys[needed]] for needed in waits_for(vertex) if self._keys[needed] in tasks]
            work = self._work(vertex, files=key in files, blobs=vertex is plan.chain[0])
            if work or after:
                tasks[key] = Task(work or _nothing, after, _STEP)
        packing = []
        for vertex in unpacked:
            made = tasks.get(self._keys[vertex])
            packing.append(Task(partial(self._pack, vertex), [made] if made else [], _PACK))
        return [*tasks.values(), *packing]

    def _work(self, vertex: Vertex, *, files: bool, blobs: bool) -> Callable[[], None] | None:
        """Return what must be done for a vertex, None where nothing; a user sees it as the next step."""
        if isinstance(vertex, Scratch | Context):
            return None
        self._last_step += 1
        step = self._last_step
        if isinstance(vertex, Image):
            missing = blobs and not all(map(self._has_blob, self._layers(vertex)))
            if missing or (files and not self._is_unpacked(vertex)):
                return partial(self._bring, vertex, step, files=files, blobs=blobs)
        elif self._keys[vertex] not in self._made:
            return partial(self._make, vertex, step)
        self._inputs.emit(Started(step, vertex.origin.label))
        self._inputs.emit(Finished(step, vertex.origin.label, 0.0, cached=True))
        return None

    def _is_unpacked(self, image: Image) -> bool:
        """Tell whether the files of an image are there; if so, they are known from now on."""
        from ocibuild.rootfs import unpacked

        stack = unpacked(self._inputs.store, self._layers(image))
        if stack is not None:
            self._roots[self._keys[image]] = stack
        return stack is not None

    def _must_pack(self, vertex: LayerVertex) -> bool:
        made = self._made.get(self._keys[vertex])
        return made is None or made.snapshot.layer is None or not self._has_blob(made.snapshot.layer)

    def _has_blob(self, layer: Layer) -> bool:
        return self._inputs.store.blobs.has(layer.descriptor.digest)

    def _bring(self, image: Image, step: int, *, files: bool, blobs: bool) -> None:
        from ocibuild.solver.operations.image import materialise

        with self._shown(image, step):
            stack = materialise(self._shop, image, self._layers(image), files=files, blobs=blobs, step=step)
            self._roots[self._keys[image]] = stack
        if blobs:
            for layer in self._layers(image):
                self._shop.ready(layer.descriptor)

    def _make(self, vertex: MadeVertex, step: int) -> None:
        """Make the result of a vertex, or wait for another process that is making it."""
        key = self._keys[vertex]
        with self._shown(vertex, step) as shown, self._inputs.store.locks.holding(f"step {key}"):
            made = self._cached(key)
            if made is None and (second := self._second_key(vertex)):
                made = None if key in self._anew else self._cached(second)
                shown.cached = made is not None
                made = made or self._make_new(vertex, step, second)
                self._inputs.store.records.put(key, _record(vertex, made))
            elif made is None:
                made = self._make_new(vertex, step, key)
            else:
                shown.cached = True
            self._made[key] = made

    def _second_key(self, vertex: MadeVertex) -> Digest | None:
        """Return the key by what the inputs are, now that they are there; None where it could tell nothing new.

        That is so unless something in its tree comes from another stage, which may give the same files however that
        was made.
        """
        if not isinstance(vertex, LayerVertex):
            return None
        if not any(isinstance(tree, LayerVertex) for one in base_chain(vertex) for tree in sources(one)):
            return None
        base = [snapshot.id for snapshot in self._base_stack(vertex)]
        return self._keys.by_content(vertex, base, self._contents(vertex))

    def _contents(self, vertex: LayerVertex) -> dict[int, Digest]:
        """Return the digests of what ``vertex`` takes from stages."""
        return {
            number: stage_digest(self._shop, self._inputs, source, vertex, self._stack(source.tree))
            for number, source in enumerate(_taken(vertex))
            if isinstance(source.tree, LayerVertex)
        }

    def _make_new(self, vertex: MadeVertex, step: int, key: Digest) -> Made:
        with self._inputs.store.snapshots.begin() as active:
            self._operate(vertex, active, step)
            made = Made(active.commit(), timestamp(time.time_ns()))
            try:
                self._inputs.store.records.put(key, _record(vertex, made))
            except BaseException:
                active.recall()
                raise
        return made

    def _operate(self, vertex: MadeVertex, active: ActiveSnapshot, step: int) -> None:
        from ocibuild.solver.operations.copy import copy
        from ocibuild.solver.operations.directory import make_directory
        from ocibuild.solver.operations.inline import make_files
        from ocibuild.solver.operations.run import run

        match vertex:
            case Run():
                run(self._shop, vertex, self._base_stack(vertex), active, step, self._stack, self._failed)
            case MakeDirectory():
                make_directory(self._shop, vertex, self._base_stack(vertex), active)
            case Copy():
                copy(self._shop, self._inputs, vertex, self._base_stack(vertex), active, self._stack)
            case Inline():
                make_files(self._shop, vertex, active)
            case HttpFile() | GitTree():
                self._shop.bring(vertex, active, step)
            case _:
                assert_never(vertex)

    def _failed(self, left: Aftermath) -> None:
        if self._shop.look_at is not None:
            self._pool.alone(left.error, partial(self._shop.look_at, left))

    def _base_stack(self, vertex: LayerVertex) -> tuple[Snapshot, ...]:
        """Return the snapshots that a vertex changes, oldest first: none where it is linked to them only later."""
        return () if isinstance(vertex, Copy) and vertex.link else self._stack(vertex.base)

    def _stack(self, vertex: Vertex) -> tuple[Snapshot, ...]:
        """Return the snapshots of a vertex's tree, oldest first."""
        chain = list(base_chain(vertex))
        own = [self._made[self._keys[one]].snapshot for one in chain if isinstance(one, MadeVertex)]
        return (*self._roots.get(self._keys[chain[-1]], ()), *reversed(own))

    def _pack(self, vertex: LayerVertex) -> None:
        with _located(vertex), translate_errors(self._inputs.store.root):
            made = self._made[self._keys[vertex]]
            layer = self._shop.snapshotter.pack(self._base_stack(vertex), made.snapshot)
            snapshot = self._inputs.store.snapshots.packed(made.snapshot, layer)
            self._made[self._keys[vertex]] = Made(snapshot, made.created)
            self._shop.ready(layer.descriptor)

    def _solution(self, plan: Plan) -> Solution:
        own = [self._made[self._keys[vertex]] for vertex in plan.chain if isinstance(vertex, LayerVertex)]
        base = self._layers(plan.chain[0])
        layers = (*base, *(made.snapshot.layer for made in own if made.snapshot.layer))
        chains = chain_ids([layer.diff_id for layer in layers])[len(base) :]
        self._inputs.store.snapshots.name({made.snapshot.id: chain for made, chain in zip(own, chains, strict=True)})
        self._touch(plan)
        return Solution(layers, tuple(made.created for made in own), self._last_step)

    def _touch(self, plan: Plan) -> None:
        made = [vertex for vertex in plan.vertices if isinstance(vertex, MadeVertex)]
        self._inputs.store.records.touch(self._keys[vertex] for vertex in made)
        self._inputs.store.snapshots.touch([self._made[self._keys[vertex]].snapshot.id for vertex in made])

    @contextmanager
    def _shown(self, vertex: Vertex, step: int) -> Iterator[_Shown]:
        """Tell of the beginning and the end of the work on a vertex, and give its errors their place."""
        begun = time.monotonic()
        label = vertex.origin.label
        shown = _Shown()
        self._inputs.emit(Started(step, label))
        try:
            with _located(vertex), translate_errors(self._inputs.store.root):
                yield shown
        except Interrupted:
            self._inputs.emit(Finished(step, label, time.monotonic() - begun, cancelled=True))
            raise
        except BaseException as error:
            message = error.message if isinstance(error, OcibuildError) else type(error).__name__
            self._inputs.emit(Finished(step, label, time.monotonic() - begun, error=message))
            raise
        self._inputs.emit(Finished(step, label, time.monotonic() - begun, cached=shown.cached))


class _Shown:
    """What the work on a vertex turned out to be."""

    cached = False


@contextmanager
def _located(vertex: Vertex) -> Iterator[None]:
    """Give an error from inside the block the place of the instruction, where it has none yet."""
    try:
        yield
    except OcibuildError as error:
        error.location = error.location or vertex.origin.location
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise SourceError(f"{error.filename}: {error.strerror}", location=vertex.origin.location) from error


def _record(vertex: Vertex, made: Made) -> Record:
    return Record(made.snapshot.id, made.created, vertex.origin.label)


def _taken(vertex: LayerVertex) -> list[CopySource]:
    """Return what a vertex takes from other trees: each source of a COPY, and for each mount of a RUN the mount's."""
    match vertex:
        case Copy():
            return list(vertex.sources)
        case Run():
            return [_mounted(mount) for mount in vertex.mounts]
        case MakeDirectory():
            return []


def _mounted(mount: Mount) -> CopySource:
    if isinstance(mount, BindMount | CacheMount) and mount.source is not None:
        return CopySource(mount.source, (mount.path.lstrip("/") or ".",))
    return CopySource(Scratch(), ())


def _nothing() -> None:
    """Do nothing: the result is known, only what it rests on is still on its way."""


def timestamp(nanoseconds: int) -> str:
    """Return a time, in nanoseconds since 1970, in RFC 3339 as Go writes it, which other tools give back so."""
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"
