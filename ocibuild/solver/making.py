"""How the result of a vertex is made on this machine, unless it turns out to be known, and its layer packed."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, assert_never

from ocibuild.errors import InvalidLayer
from ocibuild.graph import (
    BindMount,
    CacheMount,
    Copy,
    CopySource,
    GitTree,
    HttpFile,
    Image,
    Inline,
    MakeDirectory,
    Noted,
    Run,
    Scratch,
    Warned,
    format_time,
)
from ocibuild.solver.keys import key_of
from ocibuild.solver.moments import moment_of
from ocibuild.solver.operations.sources import context_digest, stage_digest
from ocibuild.solver.plan import LayerVertex, is_linked, waits_for
from ocibuild.solver.results import Made
from ocibuild.solver.telling import located, told
from ocibuild.store import Record, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Mount, Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.keys import Inputs as Meaning
    from ocibuild.solver.known import Known
    from ocibuild.solver.operations.aftermath import Aftermath
    from ocibuild.solver.operations.sharing import Shared
    from ocibuild.solver.plan import MadeVertex
    from ocibuild.solver.pool import Pool
    from ocibuild.solver.reasons import Reasons
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.store import ActiveSnapshot


class Maker:
    """Makes results and packs layers; safe to use from threads. ``pool`` is where it is called from."""

    def __init__(
        self,
        inputs: Inputs,
        known: Known,
        shop: Callable[[], Workshop],
        reasons: Callable[[], Reasons],
        pool: Pool,
    ) -> None:
        self._inputs = inputs
        self._known = known
        self._shop = shop
        self._reasons = reasons
        self._pool = pool
        self._ran: set[Digest] = set()

    def make(self, vertex: MadeVertex, step: int) -> None:
        """Make the result of a vertex, or wait for another process that is making it."""
        known = self._known
        key = known.keys[vertex]
        with told(self._inputs, vertex, step) as outcome, self._inputs.store.locks.holding(f"step {key}"):
            made = None if self._rests_on_disowned(vertex) else known.cached(key)
            outcome.cached = made is not None
            if made is None:
                by_content = self._by_content(vertex)
                made = known.cached(key_of(by_content)) if by_content and key not in known.anew else None
                if made is None:
                    made = self._make_new(vertex, step, by_content)
                else:
                    outcome.cached = True
                    self._reasons().is_like(vertex, made.snapshot.id)
                    self.record(vertex, made)
            known.made[key] = made

    def pack(self, vertex: LayerVertex, *, is_own: bool) -> None:
        """Make the layer of a vertex, and tell of it where it is the target's own."""
        known, shop = self._known, self._shop()
        if not known.must_pack(vertex):  # its result turned out to be one of before
            return
        with located(vertex), translate_errors(self._inputs.store.root):
            made = known.made[known.keys[vertex]]
            growing = partial(shop.outlet.growing, is_own=is_own)
            stack = known.base_stack(vertex)
            layer = shop.snapshotter.pack(stack, made.snapshot, threads=shop.threads, large=growing)
            snapshot = self._inputs.store.snapshots.packed(made.snapshot, layer)
            known.made[known.keys[vertex]] = Made(snapshot, made.created)
            shop.outlet.packed(layer.descriptor, is_own=is_own)

    def record(self, vertex: MadeVertex, made: Made, by_content: Meaning | None = None) -> None:
        """Keep a result under its key, and its second key where that is not known yet."""
        records = self._inputs.store.records
        record = Record(made.snapshot.id, made.created, vertex.origin.label)
        with self._inputs.store.transaction():
            if by_content is not None:
                records.put(key_of(by_content), record, self._reasons().made_from_content(by_content))
            is_disowned = self._known.keys[vertex] in self._known.disowned
            made_from = None if is_disowned else self._reasons().made_from(vertex)
            records.put(self._known.recorded_as(vertex), record, made_from)

    def _by_content(self, vertex: MadeVertex) -> Meaning | None:
        if not isinstance(vertex, LayerVertex):
            return None
        contents = {
            number: stage_digest(self._shop(), self._inputs, source, vertex, self._known.stack(source.tree))
            for number, source in enumerate(_taken(vertex))
            if _is_known_by_content(source)
        }
        return self._known.by_content(vertex, contents)

    def _make_new(self, vertex: MadeVertex, step: int, by_content: Meaning | None) -> Made:
        why = self._reasons().why(vertex, by_content, self._became)
        self._inputs.emit(Noted(step, f"not cached: {why.text}"))
        self._ran.add(self._known.keys[vertex])
        with self._inputs.store.snapshots.begin() as active:
            self._operate(vertex, active, step)
            created = self._created(vertex, active)
            if self._rests_on_disowned(vertex):
                self._known.disown(vertex)
            elif isinstance(vertex, Copy) and self._has_changed(vertex):
                self._inputs.emit(Warned(f"{vertex.origin.label}: files changed during the build: not cached"))
                self._known.disown(vertex)
                by_content = None  # it says the same of the files
            made = self._same_as_before(vertex, by_content, active)
            if made is not None:
                self._inputs.emit(Noted(step, "it changed the same as before, and that result is kept"))
                self._reasons().is_like(vertex, made.snapshot.id)
                self.record(vertex, made, by_content)
                return made
            made = Made(active.commit(), created)
            try:
                self.record(vertex, made, by_content)
            except BaseException:
                active.recall()
                raise
            self._known.made_now.add(self._known.recorded_as(vertex))
        return made

    def _created(self, vertex: MadeVertex, active: ActiveSnapshot) -> str:
        """Return when a result was made, which is now where anything has run."""
        if not (isinstance(vertex, Copy | MakeDirectory) and self._known.is_of_files_alone(vertex)):
            return format_time(time.time_ns())
        base = None if is_linked(vertex) else self._known.created(vertex.base)
        moment = moment_of(active.upper, active.begun, base)
        stack = self._known.base_stack(vertex)
        self._shop().snapshotter.give_time(stack, active, moment.directories, moment.time_ns)
        return moment.created

    def _rests_on_disowned(self, vertex: Vertex) -> bool:
        """Tell whether the key of a vertex says of what it is made from what is not so."""
        return any(self._known.keys[needed] in self._known.disowned for needed in waits_for(vertex))

    def _has_changed(self, vertex: Copy) -> bool:
        """Tell whether a COPY may have taken other files from a build context than its key says.

        A file whose state is the same is not read again.
        """
        return any(
            context_digest(self._inputs, vertex, source, names=[], kept=[]) != digest
            for source, digest in self._known.keys.contents(vertex)
        )

    def _became(self, vertex: Vertex) -> str:
        return "ran again" if self._known.keys[vertex] in self._ran else "is another"

    def _same_as_before(self, vertex: MadeVertex, by_content: Meaning | None, active: ActiveSnapshot) -> Made | None:
        """Return the result of a step of before that changed the same in the same tree, where it is known."""
        if by_content is None or not self._known.use_cache or self._known.keys[vertex] in self._known.anew:
            return None
        from ocibuild.rootfs.same import Changes, same_changes

        snapshots = self._inputs.store.snapshots
        changes = Changes(active.upper, active.begun)
        for earlier in self._reasons().on_the_same(by_content):
            # to look is not to use: it may be pruned meanwhile; what no layer can hold is told of when it is packed
            with suppress(FileNotFoundError, InvalidLayer):
                before = Changes(snapshots.upper(earlier.snapshot), earlier.begun)
                if same_changes(before, changes, self._shop().ownership):
                    snapshot = snapshots.by_id(earlier.snapshot)
                    return Made(snapshot, earlier.created) if snapshot else None
        return None

    def _operate(self, vertex: MadeVertex, active: ActiveSnapshot, step: int) -> None:
        from ocibuild.solver.operations.copy import copy
        from ocibuild.solver.operations.directory import make_directory
        from ocibuild.solver.operations.inline import make_files
        from ocibuild.solver.operations.run import run

        shop, known = self._shop(), self._known
        match vertex:
            case Run():
                run(shop, vertex, known.base_stack(vertex), active, step, known.stack, self._failed)
            case MakeDirectory():
                make_directory(shop, vertex, known.base_stack(vertex), active)
            case Copy():
                shared = self._shared(vertex)
                copy(shop, self._inputs, vertex, known.base_stack(vertex), active, known.stack, shared)
            case Inline():
                make_files(shop, vertex, active)
            case HttpFile() | GitTree():
                shop.bring(vertex, active, step)
            case _:
                assert_never(vertex)

    def _shared(self, vertex: Copy) -> Shared | None:
        if not self._shop().snapshotter.shares_files:
            return None
        from ocibuild.solver.unchanged import find_shared

        return find_shared(vertex, self._known, self._reasons(), self._inputs.store.snapshots)

    def _failed(self, left: Aftermath) -> None:
        look_at = self._shop().look_at
        if look_at is not None:
            self._pool.alone(left.error, partial(look_at, left))


def _is_known_by_content(source: CopySource) -> bool:
    """Tell whether what is taken may be the same where the tree is another: a whole image never is."""
    if isinstance(source.tree, Image):
        return not any(path.strip("./") == "" for path in source.paths)
    return isinstance(source.tree, LayerVertex | HttpFile | GitTree)


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
