"""What a build knows of its vertices: their keys, and by these the results that there are by now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.graph import Copy, Image, parse_time
from ocibuild.oci import Digest, chain_id, chain_ids
from ocibuild.solver.keys import Keys
from ocibuild.solver.listings import Listings
from ocibuild.solver.moments import is_of_files_alone
from ocibuild.solver.plan import (
    LayerVertex,
    MadeVertex,
    base_chain,
    is_linked,
    make_plan,
    to_make_anew,
    topological,
    usable,
)
from ocibuild.solver.results import Made
from ocibuild.solver.telling import located
from ocibuild.store import LayerRecord, load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.graph import Vertex
    from ocibuild.solver.keys import Inputs as Meaning
    from ocibuild.solver.plan import Plan
    from ocibuild.solver.workshop import Inputs
    from ocibuild.store import Layer, Snapshot, StoredImage


class Known:
    """What is known of the vertices of one target; safe to use from threads once that is planned.

    By key, ``made`` has the results that are in the store, ``elsewhere`` those of which only a cache beyond it has the
    layer, and ``roots`` the stacks of what was brought from elsewhere as a whole. ``use_cache`` is whether results from
    before may be used, ``all_stages`` whether cached stages count that nobody needs any more. ``anew`` has the keys of
    what is to be made anew, ``outdated`` those of all that rests on that too; but ``made_now`` those of what was made
    for the same request, which counts whatever may not be used from before. By key, ``disowned`` has a name that nobody
    looks up of each result that is not what the key says: files have changed since that was computed. ``lost`` has the
    keys of what a cache elsewhere could not give.
    """

    def __init__(
        self, inputs: Inputs, *, use_cache: bool, all_stages: bool = False, made_now: set[Digest] | None = None
    ) -> None:
        self.use_cache = use_cache
        self.made_now = set() if made_now is None else made_now
        self._all_stages = all_stages
        self.listings = Listings(inputs)
        self.keys = Keys(self._image_key, self.listings.digest, inputs.identify)
        self.made: dict[Digest, Made] = {}
        self.disowned: dict[Digest, Digest] = {}
        self.elsewhere: Mapping[Digest, LayerRecord] = {}
        self.lost: set[Digest] = set()
        self.roots: dict[Digest, tuple[Snapshot, ...]] = {}
        self.anew: frozenset[Digest] = frozenset()
        self.outdated: frozenset[Digest] = frozenset()
        self._store = inputs.store
        self._caches = inputs.elsewhere
        self._images: dict[Digest, StoredImage] = {}  # by the manifest's digest
        self._of_files: set[int] = set()

    def compute_keys(self, target: Vertex) -> None:
        """Compute the keys of all that ``target`` reaches; raises SourceError where a file is missing."""
        for vertex in topological(target):
            with located(vertex):
                self.keys.compute(vertex)
            if is_of_files_alone(vertex, self._of_files):
                self._of_files.add(id(vertex))
        self.anew, self.outdated = to_make_anew(target, self.keys)

    def plan(self, target: Vertex) -> Plan:
        """Look up what there is, here and elsewhere, and return what is to be done."""
        with self._store.transaction():  # each that is found is marked as used
            plan = self._make_plan(target, lambda key: self.made.get(key) or self.cached(key), {})
        plan = self._with_elsewhere(target, plan)
        self.made.update(plan.made)
        self.elsewhere = plan.elsewhere
        self.listings.keep_only(self._digests_of_contexts(plan))
        return plan

    def cached(self, key: Digest) -> Made | None:
        """Return the result that the store has from before, where it may be used."""
        if (not self.use_cache or key in self.outdated) and key not in self.made_now:
            return None
        record = self._store.records.get(key)
        snapshot = self._store.snapshots.by_id(record.snapshot) if record else None
        return Made(snapshot, record.created) if record and snapshot else None

    def image_layers(self, image: Vertex) -> tuple[Layer, ...]:
        """Return the layers of an image, none for the empty tree."""
        known = self._image(image)
        return known.layers if known else ()

    def _image(self, image: Vertex) -> StoredImage | None:
        """Return an image, None for the empty tree."""
        if not isinstance(image, Image) or image.digest is None:
            return None
        known = self._images.get(image.digest)
        if known is None:
            known = load_image(self._store.blobs, image.digest, image.platform)
            self._images[image.digest] = known
        return known

    def is_of_files_alone(self, vertex: Vertex) -> bool:
        """Tell whether nothing runs to make a vertex."""
        return id(vertex) in self._of_files

    def created(self, vertex: Vertex) -> str | None:
        """Return when a tree was made (RFC 3339), or the image that it is; None for what has no such time."""
        key = self.keys[vertex]
        if not isinstance(vertex, MadeVertex):
            image = self._image(vertex)
            return image.config.created if image else None
        own = self.made[key].created if key in self.made else self.elsewhere[key].created
        below = self.created(vertex.base) if isinstance(vertex, LayerVertex) and is_linked(vertex) else None
        return max(own, below, key=lambda text: parse_time(text) or 0) if below else own

    def layer(self, vertex: LayerVertex) -> Layer:
        """Return the layer of a vertex that is packed, or that a cache elsewhere has."""
        key = self.keys[vertex]
        layer = self.elsewhere[key].layer if key in self.elsewhere else self.made[key].snapshot.layer
        assert layer is not None
        return layer

    def disown(self, vertex: Vertex) -> None:
        """Let the result of a vertex be found by this build alone."""
        self.disowned[self.keys[vertex]] = Digest.of(os.urandom(16))

    def recorded_as(self, vertex: Vertex) -> Digest:
        """Return the key under which the result of a vertex is kept for others."""
        key = self.keys[vertex]
        return self.disowned.get(key, key)

    def layer_record(self, vertex: LayerVertex) -> LayerRecord:
        """Return what a cache would have of a vertex whose layer is known."""
        key = self.keys[vertex]
        found = self.elsewhere.get(key)
        return found or LayerRecord(self.recorded_as(vertex), self.layer(vertex), self.made[key].created)

    def has_blob(self, layer: Layer) -> bool:
        """Tell whether the store has the blob of a layer."""
        return self._store.blobs.has(layer.descriptor.digest)

    def must_pack(self, vertex: LayerVertex) -> bool:
        """Tell whether the layer of a vertex is to be made yet."""
        key = self.keys[vertex]
        if key in self.elsewhere:
            return False
        made = self.made.get(key)
        return made is None or made.snapshot.layer is None or not self.has_blob(made.snapshot.layer)

    def stack(self, vertex: Vertex) -> tuple[Snapshot, ...]:
        """Return the snapshots of a vertex's tree, oldest first."""
        above: list[Snapshot] = []
        for one in base_chain(vertex):
            key = self.keys[one]
            if key in self.roots:
                return (*self.roots[key], *reversed(above))
            if isinstance(one, MadeVertex):
                above.append(self.made[key].snapshot)
        return tuple(reversed(above))

    def base_stack(self, vertex: LayerVertex) -> tuple[Snapshot, ...]:
        """Return the snapshots that a vertex changes, oldest first: none where it is linked to them only later."""
        return () if is_linked(vertex) else self.stack(vertex.base)

    def by_content(self, vertex: LayerVertex, contents: Mapping[int, Digest]) -> Meaning:
        """Return what a vertex means by what its inputs are, now that they are there, however they were made.

        ``contents`` digests what it takes from other stages.
        """
        below = [] if is_linked(vertex) else list(base_chain(vertex.base))
        # the root's own key is by its content already, and its snapshots may be unpacked anew
        own = [self._changes_of(one) for one in below[:-1]]
        stack = [*map(self.keys.__getitem__, below[-1:]), *reversed(own)]
        return self.keys.inputs_by_content(vertex, stack, contents)

    def name_chain(self, chain: list[Vertex]) -> None:
        """Let the results in a chain of bases, lowest first, be found by their chain IDs: they need not be unpacked."""
        own = [vertex for vertex in chain if isinstance(vertex, LayerVertex)]
        base = self.image_layers(chain[0])
        chains = chain_ids([layer.diff_id for layer in (*base, *map(self.layer, own))])[len(base) :]
        named = {self.keys[vertex]: name for vertex, name in zip(own, chains, strict=True)}
        self._store.snapshots.name({self.made[key].snapshot.id: named[key] for key in named if key in self.made})

    def _changes_of(self, vertex: Vertex) -> str:
        """Return what names the changes of a vertex: its snapshot, or its layer where an outline stands for that."""
        made = self.made.get(self.keys[vertex])
        return str(made.snapshot.id) if made else self.elsewhere[self.keys[vertex]].layer.diff_id

    def _image_key(self, image: Image) -> str:
        if image.digest is None:
            raise AssertionError(f"{image.reference} was not resolved")
        layers = self.image_layers(image)
        return chain_id([layer.diff_id for layer in layers]) if layers else "empty"

    def _with_elsewhere(self, target: Vertex, plan: Plan) -> Plan:
        """Return the plan with what caches beyond the store know of what is missing."""
        layers = [vertex for vertex in plan.vertices if isinstance(vertex, LayerVertex)]
        known = {*plan.made, *self.outdated}
        missing = [self.keys[vertex] for vertex in layers if self.keys[vertex] not in known]
        if not (missing and self.use_cache and self._caches):
            return plan
        found = self._caches.find(missing)
        packed = {key for key, made in plan.made.items() if made.snapshot.layer and self.has_blob(made.snapshot.layer)}
        chosen = usable(target, self.keys, packed, found)
        return self._make_plan(target, plan.made.get, {key: found[key] for key in chosen}) if chosen else plan

    def _make_plan(
        self, target: Vertex, cached: Callable[[Digest], Made | None], elsewhere: Mapping[Digest, LayerRecord]
    ) -> Plan:
        return make_plan(target, self.keys, cached, elsewhere, all_stages=self._all_stages)

    def _digests_of_contexts(self, plan: Plan) -> set[str]:
        """Return the digests of what is taken from build contexts by steps that are not cached."""
        known = plan.made.keys() | plan.elsewhere.keys()
        missed = [one for one in plan.vertices if isinstance(one, Copy) and self.keys[one] not in known]
        return {taken["context"] for one in missed for taken in self.keys.inputs(one)["sources"] if "context" in taken}
