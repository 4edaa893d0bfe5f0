"""From a graph to layers: what is cached is looked up first, the rest is run, and packed while the next step runs."""

from __future__ import annotations

import errno
import time
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import Interrupted, InvalidLayer, OcibuildError, SourceError, StoreError
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
    Noted,
    Run,
    Scratch,
    Started,
)
from ocibuild.oci import chain_id, chain_ids, prepare_validation
from ocibuild.solver.keys import Keys, key_of
from ocibuild.solver.listings import Listings
from ocibuild.solver.operations.sources import stage_digest
from ocibuild.solver.plan import (
    LayerVertex,
    MadeVertex,
    base_chain,
    is_linked,
    make_plan,
    roots,
    to_make_anew,
    topological,
    usable,
    waits_for,
)
from ocibuild.solver.pool import Pool, Task, Withdrawn
from ocibuild.solver.results import Made, Solution, Tree
from ocibuild.store import LayerRecord, Record, load_image, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from ocibuild.graph import Mount, Vertex
    from ocibuild.oci import Digest
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.solver.keys import Inputs as Meaning
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.solver.plan import Plan
    from ocibuild.solver.reasons import Reasons
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.store import ActiveSnapshot, Layer, Snapshot

_STEP, _PACK = 0, 1  # ranks: a step that others wait for goes before the packing of one that is done


class Solver:
    """Solves one target, ``jobs`` steps at a time.

    ``open_workshop`` is called once, and only where something must be made; it raises SandboxError where nothing can.
    ``use_cache`` is whether results from before may be used; new ones are always kept. ``pack_all`` wants the layers of
    all that the target needs, not of its own chain alone. ``first_step`` numbers the first step for events.
    """

    def __init__(
        self,
        inputs: Inputs,
        open_workshop: Callable[[], Workshop],
        *,
        jobs: int,
        use_cache: bool = True,
        pack_all: bool = False,
        first_step: int = 1,
    ) -> None:
        self._inputs = inputs
        self._open_workshop = open_workshop
        self._jobs = jobs
        self._use_cache = use_cache
        self._pack_all = pack_all
        self._pool = Pool()
        self._last_step = first_step - 1
        self._listings = Listings(inputs)
        self._keys = Keys(self._image_key, self._listings.digest, inputs.identify)
        self._ran: set[Digest] = set()
        self._images: dict[Digest, tuple[Layer, ...]] = {}  # by the manifest's digest
        # by key: the stacks of what was brought from elsewhere as a whole, the results of other vertices, and those
        # of which only a cache beyond the store has the layer
        self._roots: dict[Digest, tuple[Snapshot, ...]] = {}
        self._made: dict[Digest, Made] = {}
        self._elsewhere: dict[Digest, LayerRecord] = {}
        self._has_given_up = False  # a cache could not give what it has
        # the keys of what is to be made anew, and of those and all that rests on them
        self._anew: frozenset[Digest] = frozenset()
        self._outdated: frozenset[Digest] = frozenset()

    def solve(self, target: Vertex) -> Solution:
        """Return the layers of ``target``, made where they are not cached, each with its blob in the store.

        A blob may be missing that ``provided`` tells of. Raises StepFailed, SandboxError, SourceError, RegistryError
        and what else the operations raise, with the instruction's location; what was done until then stays cached.
        """
        self._compute_keys(target)
        while True:
            plan = self._plan(target)
            self._has_given_up = False
            tasks = self._tasks(plan)
            if tasks:
                _ = self._reasons  # one for all threads
                self._pool.run(tasks, jobs=self._jobs, stop=self._shop.stop, meanwhile=prepare_validation)
            if not self._has_given_up:
                return self._solution(plan)

    def _compute_keys(self, target: Vertex) -> None:
        for vertex in topological(target):
            with _located(vertex):
                self._keys.compute(vertex)
        self._anew, self._outdated = to_make_anew(target, self._keys)

    def _plan(self, target: Vertex) -> Plan:
        """Look up what is known, here and elsewhere, and decide what is to be done."""
        with self._inputs.store.transaction():  # each that is found is marked as used
            plan = make_plan(target, self._keys, lambda key: self._made.get(key) or self._cached(key))
        plan = self._with_elsewhere(target, plan)
        self._made.update(plan.made)
        self._elsewhere = plan.elsewhere
        self._listings.keep_only(self._digests_of_contexts(plan))
        return plan

    def _with_elsewhere(self, target: Vertex, plan: Plan) -> Plan:
        """Return the plan with what caches beyond the store know of what is missing."""
        layers = [vertex for vertex in plan.vertices if isinstance(vertex, LayerVertex)]
        known = {*plan.made, *self._outdated}
        missing = [self._keys[vertex] for vertex in layers if self._keys[vertex] not in known]
        if not (missing and self._use_cache and self._inputs.elsewhere):
            return plan
        found = self._inputs.elsewhere.find(missing)
        packed = {key for key, made in plan.made.items() if made.snapshot.layer and self._has_blob(made.snapshot.layer)}
        chosen = usable(target, self._keys, packed, found)
        return make_plan(target, self._keys, plan.made.get, {key: found[key] for key in chosen}) if chosen else plan

    def _digests_of_contexts(self, plan: Plan) -> set[str]:
        """Return the digests of what is taken from build contexts by steps that are not cached."""
        known = plan.made.keys() | plan.elsewhere.keys()
        missed = [one for one in plan.vertices if isinstance(one, Copy) and self._keys[one] not in known]
        return {taken["context"] for one in missed for taken in self._keys.inputs(one)["sources"] if "context" in taken}

    @cached_property
    def _shop(self) -> Workshop:
        return self._open_workshop()

    @cached_property
    def _reasons(self) -> Reasons:
        from ocibuild.solver.reasons import Reasons

        return Reasons(
            self._inputs.store.records, self._keys, self._listings, use_cache=self._use_cache, outdated=self._outdated
        )

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
        wanted = plan.vertices if self._pack_all else plan.chain
        unpacked = [vertex for vertex in wanted if isinstance(vertex, LayerVertex) and self._must_pack(vertex)]
        # packing looks at the names of what lies below
        below = [vertex.base for vertex in unpacked if not is_linked(vertex)]
        names = set(self._root_keys(below, plan.elsewhere))
        blobs = set(self._root_keys([plan.chain[-1]], plan.elsewhere))
        tasks: dict[Digest, Task] = {}
        for vertex in plan.vertices:
            key = self._keys[vertex]
            after = [tasks[self._keys[needed]] for needed in waits_for(vertex) if self._keys[needed] in tasks]
            work = self._work(vertex, wanted_tree(key, plan, names), blobs=key in blobs)
            if work or after:
                tasks[key] = Task(work or _nothing, after, _STEP)
        own = set(map(id, plan.chain))
        packing = []
        for vertex in unpacked:
            made = tasks.get(self._keys[vertex])
            work = partial(self._pack, vertex, is_own=id(vertex) in own)
            packing.append(Task(work, [made] if made else [], _PACK))
        return [*tasks.values(), *packing]

    def _root_keys(self, trees: Iterable[Vertex], elsewhere: Container[Digest]) -> Iterator[Digest]:
        return (self._keys[root] for tree in trees for root in roots(tree, self._keys, elsewhere))

    def _work(self, vertex: Vertex, tree: Tree, *, blobs: bool) -> Callable[[], None] | None:
        """Return what must be done for a vertex, None where nothing; a user sees it as the next step."""
        if isinstance(vertex, Scratch | Context):
            return None
        self._last_step += 1
        step = self._last_step
        if isinstance(vertex, Image) or self._keys[vertex] in self._elsewhere:
            missing = blobs and not all(map(self._has_blob, self._layers_of(vertex)))
            if missing or not self._is_there(vertex, tree):
                return partial(self._bring, vertex, step, tree, blobs=blobs)
        elif self._keys[vertex] not in self._made:
            return partial(self._make, vertex, step)
        self._inputs.emit(Started(step, vertex.origin.label))
        self._inputs.emit(Finished(step, vertex.origin.label, 0.0, cached=True))
        return None

    def _layers_of(self, root: Vertex) -> tuple[Layer, ...]:
        """Return the layers of what comes from elsewhere as a whole, oldest first: an image, a cached tree or copy."""
        chain = self._chain_of(root)
        below = () if is_linked(root) else self._layers(chain[0])
        return (*below, *(self._layer(vertex) for vertex in chain if isinstance(vertex, LayerVertex)))

    def _chain_of(self, root: Vertex) -> list[Vertex]:
        return [root] if is_linked(root) else list(base_chain(root))[::-1]

    def _layer(self, vertex: LayerVertex) -> Layer:
        """Return the layer of a vertex, known by now."""
        key = self._keys[vertex]
        layer = self._elsewhere[key].layer if key in self._elsewhere else self._made[key].snapshot.layer
        assert layer is not None
        return layer

    def _is_there(self, root: Vertex, tree: Tree) -> bool:
        """Tell whether enough of what comes from elsewhere is there; if so, it is known from now on."""
        if tree is Tree.NOTHING:
            return True
        from ocibuild.rootfs import unpacked

        layers = self._layers_of(root)
        stack = unpacked(self._inputs.store, layers)
        if stack is None and tree is Tree.NAMES:
            stack = unpacked(self._inputs.store, layers, outline=True)
        else:
            tree = Tree.FILES
        if stack is not None:
            self._know(root, stack, tree)
        return stack is not None

    def _know(self, root: Vertex, stack: Sequence[Snapshot], tree: Tree) -> None:
        """Take ``stack`` for what ``root`` is, and what was cached elsewhere of it for results of this store."""
        if not is_linked(root):
            self._roots[self._keys[root]] = tuple(stack)
        if tree is not Tree.FILES:
            return
        own = [vertex for vertex in self._chain_of(root) if isinstance(vertex, LayerVertex)]
        for vertex, snapshot in zip(reversed(own), reversed(stack), strict=False):
            key = self._keys[vertex]
            if key in self._elsewhere:
                self._made[key] = Made(snapshot, self._elsewhere[key].created)
                self._record(vertex, self._made[key])

    def _must_pack(self, vertex: LayerVertex) -> bool:
        key = self._keys[vertex]
        if key in self._elsewhere:
            return False
        made = self._made.get(key)
        return made is None or made.snapshot.layer is None or not self._has_blob(made.snapshot.layer)

    def _has_blob(self, layer: Layer) -> bool:
        return self._inputs.store.blobs.has(layer.descriptor.digest)

    def _bring(self, root: Vertex, step: int, tree: Tree, *, blobs: bool) -> None:
        """Bring in what comes from elsewhere as a whole; what a cache cannot give is made in another round."""
        from ocibuild.solver.operations.image import materialise

        layers = self._layers_of(root)
        is_cached = not isinstance(root, Image)
        try:
            with self._shown(root, step) as shown:
                shown.cached = is_cached
                self._name_below(root)
                wanted = [layer for layer in layers if blobs and not self._is_provided(layer)]
                strange = {record.layer for record in self._cached_of(root)}
                stack = materialise(
                    self._shop,
                    layers,
                    self._origin_of(root),
                    tree,
                    blobs=wanted,
                    verified=[layer for layer in wanted if layer in strange],
                    step=step,
                )
        except (Interrupted, StoreError):
            raise
        except OcibuildError as error:
            if not is_cached:
                raise
            self._give_up(root, error)
            raise Withdrawn from error
        if tree is not Tree.NOTHING:
            self._know(root, stack, tree)
        for layer in wanted:
            self._shop.ready(layer.descriptor)

    def _is_provided(self, layer: Layer) -> bool:
        return not self._has_blob(layer) and self._shop.provided(layer.descriptor)

    def _name_below(self, root: Vertex) -> None:
        """Let results of this store be found by their chain IDs: they need not be unpacked again."""
        layers, chain = self._layers_of(root), self._chain_of(root)
        chains = chain_ids([layer.diff_id for layer in layers])[len(layers) - len(chain) + 1 :]
        pairs = zip(chain[1:], chains, strict=True)
        made = {self._keys[vertex]: chain for vertex, chain in pairs if self._keys[vertex] in self._made}
        self._inputs.store.snapshots.name({self._made[key].snapshot.id: chain for key, chain in made.items()})

    def _origin_of(self, root: Vertex) -> BlobOrigin:
        from ocibuild.solver.operations.image import Origins

        chain = self._chain_of(root)
        image = self._shop.origin_of(chain[0]) if isinstance(chain[0], Image) else None
        if len(chain) == 1 and image:
            return image
        elsewhere = self._inputs.elsewhere
        assert elsewhere is not None
        return Origins(
            {layer.descriptor.digest: image for layer in self._layers(chain[0]) if image}
            | {record.layer.descriptor.digest: elsewhere.origin_of(record) for record in self._cached_of(root)}
        )

    def _cached_of(self, root: Vertex) -> list[LayerRecord]:
        """Return what a cache elsewhere has of a tree that comes from there."""
        keys = map(self._keys.__getitem__, self._chain_of(root))
        return [self._elsewhere[key] for key in keys if key in self._elsewhere]

    def _give_up(self, root: Vertex, error: OcibuildError) -> None:
        """Take nothing of the tree of ``root`` from a cache elsewhere any more."""
        self._has_given_up = True
        assert self._inputs.elsewhere is not None
        self._inputs.elsewhere.forget([record.key for record in self._cached_of(root)], error.message)

    def _make(self, vertex: MadeVertex, step: int) -> None:
        """Make the result of a vertex, or wait for another process that is making it."""
        key = self._keys[vertex]
        with self._shown(vertex, step) as shown, self._inputs.store.locks.holding(f"step {key}"):
            made = self._cached(key)
            shown.cached = made is not None
            if made is None:
                by_content = self._by_content(vertex)
                made = self._cached(key_of(by_content)) if by_content and key not in self._anew else None
                if made is None:
                    made = self._make_new(vertex, step, by_content)
                else:
                    shown.cached = True
                    self._reasons.is_like(vertex, made.snapshot.id)
                    self._record(vertex, made)
            self._made[key] = made

    def _by_content(self, vertex: MadeVertex) -> Meaning | None:
        """Return what a vertex means by what its inputs are, now that they are there.

        However they were made: a stage or a step before it may have given the same files as ever.
        """
        if not isinstance(vertex, LayerVertex):
            return None
        below = [] if is_linked(vertex) else list(base_chain(vertex.base))
        # the root's own key is by its content already, and its snapshots may be unpacked anew
        own = [self._tree_name(one) for one in below[:-1]]
        stack = [*map(self._keys.__getitem__, below[-1:]), *reversed(own)]
        return self._keys.inputs_by_content(vertex, stack, self._contents(vertex))

    def _tree_name(self, vertex: Vertex) -> str:
        """Return what names the changes of a vertex: its snapshot, or its layer where an outline stands for that."""
        made = self._made.get(self._keys[vertex])
        return str(made.snapshot.id) if made else self._elsewhere[self._keys[vertex]].layer.diff_id

    def _contents(self, vertex: LayerVertex) -> dict[int, Digest]:
        """Return the digests of what ``vertex`` takes from stages."""
        return {
            number: stage_digest(self._shop, self._inputs, source, vertex, self._stack(source.tree))
            for number, source in enumerate(_taken(vertex))
            if isinstance(source.tree, LayerVertex)
        }

    def _make_new(self, vertex: MadeVertex, step: int, by_content: Meaning | None) -> Made:
        why = self._reasons.why(vertex, by_content, self._became)
        self._inputs.emit(Noted(step, f"not cached: {why.text}"))
        self._ran.add(self._keys[vertex])
        with self._inputs.store.snapshots.begin() as active:
            self._operate(vertex, active, step)
            made = None if self._keys[vertex] in self._anew else self._same_as_before(by_content, active)
            if made is not None:
                self._inputs.emit(Noted(step, "it changed the same as before, and that result is kept"))
                self._reasons.is_like(vertex, made.snapshot.id)
                self._record(vertex, made, by_content)
                return made
            made = Made(active.commit(), timestamp(time.time_ns()))
            try:
                self._record(vertex, made, by_content)
            except BaseException:
                active.recall()
                raise
        return made

    def _became(self, vertex: Vertex) -> str:
        return "ran again" if self._keys[vertex] in self._ran else "is another"

    def _same_as_before(self, by_content: Meaning | None, active: ActiveSnapshot) -> Made | None:
        """Return the result of a step of before that changed the same in the same tree, where it is known."""
        if by_content is None or not self._use_cache:
            return None
        from ocibuild.rootfs.same import Changes, same_changes

        snapshots = self._inputs.store.snapshots
        changes = Changes(active.upper, active.begun)
        for earlier in self._reasons.on_the_same(by_content):
            # to look is not to use: it may be pruned meanwhile; what no layer can hold is told of when it is packed
            with suppress(FileNotFoundError, InvalidLayer):
                before = Changes(snapshots.upper(earlier.snapshot), earlier.begun)
                if same_changes(before, changes, self._shop.ownership):
                    snapshot = snapshots.by_id(earlier.snapshot)
                    return Made(snapshot, earlier.created) if snapshot else None
        return None

    def _record(self, vertex: MadeVertex, made: Made, by_content: Meaning | None = None) -> None:
        """Keep a result under its key, and its second key where that is not known yet."""
        record = Record(made.snapshot.id, made.created, vertex.origin.label)
        with self._inputs.store.transaction():
            if by_content is not None:
                made_from = self._reasons.made_from_content(by_content)
                self._inputs.store.records.put(key_of(by_content), record, made_from)
            self._inputs.store.records.put(self._keys[vertex], record, self._reasons.made_from(vertex))

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
        return () if is_linked(vertex) else self._stack(vertex.base)

    def _stack(self, vertex: Vertex) -> tuple[Snapshot, ...]:
        """Return the snapshots of a vertex's tree, oldest first."""
        above: list[Snapshot] = []
        for one in base_chain(vertex):
            key = self._keys[one]
            if key in self._roots:
                return (*self._roots[key], *reversed(above))
            if isinstance(one, MadeVertex):
                above.append(self._made[key].snapshot)
        return tuple(reversed(above))

    def _pack(self, vertex: LayerVertex, *, is_own: bool) -> None:
        if not self._must_pack(vertex):  # its result turned out to be one of before
            return
        with _located(vertex), translate_errors(self._inputs.store.root):
            made = self._made[self._keys[vertex]]
            layer = self._shop.snapshotter.pack(self._base_stack(vertex), made.snapshot, threads=self._shop.threads)
            snapshot = self._inputs.store.snapshots.packed(made.snapshot, layer)
            self._made[self._keys[vertex]] = Made(snapshot, made.created)
            if is_own:
                self._shop.ready(layer.descriptor)

    def _solution(self, plan: Plan) -> Solution:
        base = self._layers(plan.chain[0])
        own = [self._layer_record(vertex) for vertex in plan.chain if isinstance(vertex, LayerVertex)]
        chains = chain_ids([layer.diff_id for layer in (*base, *(record.layer for record in own))])[len(base) :]
        named = {record.key: chain for record, chain in zip(own, chains, strict=True) if record.key in self._made}
        self._inputs.store.snapshots.name({self._made[key].snapshot.id: chain for key, chain in named.items()})
        self._touch(plan)
        in_chain = set(map(id, plan.chain))
        others = [one for one in plan.vertices if isinstance(one, LayerVertex) and id(one) not in in_chain]
        beside = tuple(map(self._layer_record, others)) if self._pack_all else ()
        return Solution(base, tuple(own), beside, self._last_step)

    def _layer_record(self, vertex: LayerVertex) -> LayerRecord:
        key = self._keys[vertex]
        known = self._elsewhere.get(key)
        return known or LayerRecord(key, self._layer(vertex), self._made[key].created)

    def _touch(self, plan: Plan) -> None:
        made = [vertex for vertex in plan.vertices if self._keys[vertex] in self._made]
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


def wanted_tree(key: Digest, plan: Plan, names: Container[Digest]) -> Tree:
    """Return how much of a tree has to be there; ``names`` has those whose outline packing wants."""
    if key in plan.files:
        return Tree.FILES
    return Tree.NAMES if key in plan.names or key in names else Tree.NOTHING


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
