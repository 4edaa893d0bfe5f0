"""From a graph to layers: what is cached is looked up first, the rest is run, and packed while the next step runs."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from ocibuild.graph import Context, Image, Run, Scratch
from ocibuild.oci import prepare_validation
from ocibuild.solver.bringing import Bringer
from ocibuild.solver.known import Known
from ocibuild.solver.making import Maker
from ocibuild.solver.plan import LayerVertex, waits_for
from ocibuild.solver.pool import Pool, Task
from ocibuild.solver.results import Solution
from ocibuild.solver.telling import tell_cached
from ocibuild.solver.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Vertex
    from ocibuild.oci import Digest
    from ocibuild.solver.plan import Plan
    from ocibuild.solver.reasons import Reasons
    from ocibuild.solver.workshop import Inputs, Workshop

_STEP, _PACK = 0, 1  # ranks: a step that others wait for goes before the packing of one that is done


class Solver:
    """Solves ``target``, ``jobs`` steps at a time.

    ``open_workshop`` is called once, and only where something must be made; it raises SandboxError where nothing can.
    ``use_cache`` is whether results from before may be used; new ones are always kept. ``pack_all`` wants the layers of
    all that the target needs, not of its own chain alone. ``made_now`` are the keys of what solvers before have made
    for the same request, which may be used all the same.
    """

    def __init__(
        self,
        inputs: Inputs,
        target: Vertex,
        open_workshop: Callable[[], Workshop],
        *,
        jobs: int,
        use_cache: bool = True,
        pack_all: bool = False,
        made_now: set[Digest] | None = None,
    ) -> None:
        self._target = target
        self._inputs = inputs
        self._jobs = jobs
        self._pack_all = pack_all
        self._last_step = 0
        self._known = Known(inputs, use_cache=use_cache, all_stages=pack_all, made_now=made_now)
        self._pool = Pool()
        self._shop = cache(open_workshop)
        self._reasons = cache(partial(_reasons_of, inputs, self._known))
        self._maker = Maker(inputs, self._known, self._shop, self._reasons, self._pool)
        self._bringer = Bringer(inputs, self._known, self._shop, self._maker.record)

    def compute_keys(self) -> None:
        """Read what the target is made from, as far as its keys say; raises SourceError where a file is missing."""
        self._known.compute_keys(self._target)

    def solve(self, *, after: int) -> Solution:
        """Return the layers of the target, made where they are not cached, each with its blob in the store.

        Its keys must be computed. ``after`` is the number of the last step that events told of before. A blob may be
        missing that the outlet provides. Raises StepFailed, SandboxError, SourceError, RegistryError
        and what else the operations raise, with the instruction's location; what was done until then stays cached.
        """
        self._last_step = after
        while True:
            plan = self._known.plan(self._target)
            self._bringer.has_given_up = False
            tasks = self._tasks(plan)
            if tasks:
                self._reasons()  # one for all threads, and one workshop
                self._expect_run(plan)
                self._pool.run(tasks, jobs=self._jobs, stop=self._shop().stop, meanwhile=prepare_validation)
            if not self._bringer.has_given_up:
                return self._solution(plan)

    def _expect_run(self, plan: Plan) -> None:
        """Have a process ready for the first RUN, where one is to run."""
        known = self._known
        steps = (vertex for vertex in plan.vertices if isinstance(vertex, Run) and known.keys[vertex] not in known.made)
        if first := next(steps, None):
            from ocibuild.solver.operations.run import expect

            expect(self._shop(), first)

    def _tasks(self, plan: Plan) -> list[Task]:
        """Return the tasks for what is not there yet, each after those of what it needs."""
        keys = self._known.keys
        wanted = Wanted(plan, self._known, pack_all=self._pack_all)
        tasks: dict[Digest, Task] = {}
        for vertex in plan.vertices:
            after = [tasks[keys[needed]] for needed in waits_for(vertex) if keys[needed] in tasks]
            work = self._work(vertex, wanted)
            if work or after:
                tasks[keys[vertex]] = Task(work or _nothing, after, _STEP)
        own = set(map(id, plan.chain))
        packing = []
        for vertex in wanted.to_pack:
            made = tasks.get(keys[vertex])
            pack = partial(self._maker.pack, vertex, is_own=id(vertex) in own)
            packing.append(Task(pack, [made] if made else [], _PACK))
        return [*tasks.values(), *packing]

    def _work(self, vertex: Vertex, wanted: Wanted) -> Callable[[], None] | None:
        """Return what must be done for a vertex, None where nothing; a user sees it as the next step."""
        if isinstance(vertex, Scratch | Context):
            return None
        self._last_step += 1
        step, key = self._last_step, self._known.keys[vertex]
        if isinstance(vertex, Image) or key in self._known.elsewhere:
            extent, blobs = wanted.extent(vertex), wanted.blobs(vertex)
            if not self._bringer.is_there(vertex, extent, blobs=blobs):
                return partial(self._bringer.bring, vertex, step, extent, blobs=blobs)
        elif key not in self._known.made:
            return partial(self._maker.make, vertex, step)
        tell_cached(self._inputs, vertex, step)
        return None

    def _solution(self, plan: Plan) -> Solution:
        known = self._known
        known.name_chain(list(plan.chain))
        self._touch(plan)
        own = [known.layer_record(vertex) for vertex in plan.chain if isinstance(vertex, LayerVertex)]
        in_chain = set(map(id, plan.chain))
        beside = [one for one in plan.vertices if isinstance(one, LayerVertex) and id(one) not in in_chain]
        others = tuple(map(known.layer_record, beside)) if self._pack_all else ()
        return Solution(known.image_layers(plan.chain[0]), tuple(own), others, self._last_step)

    def _touch(self, plan: Plan) -> None:
        keys = [key for vertex in plan.vertices if (key := self._known.keys[vertex]) in self._known.made]
        self._inputs.store.records.touch(keys)
        self._inputs.store.snapshots.touch([self._known.made[key].snapshot.id for key in keys])


def _reasons_of(inputs: Inputs, known: Known) -> Reasons:
    from ocibuild.solver.reasons import open_reasons

    return open_reasons(inputs, known)


def _nothing() -> None:
    """Do nothing: the result is known, only what it rests on is still on its way."""
