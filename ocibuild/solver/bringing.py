"""What comes from elsewhere as a whole: images, and trees and linked copies of which a cache has the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, OcibuildError, StoreError
from ocibuild.graph import Image
from ocibuild.solver.plan import LayerVertex, base_chain, is_linked
from ocibuild.solver.pool import Withdrawn
from ocibuild.solver.results import Made
from ocibuild.solver.telling import told
from ocibuild.solver.wanted import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.graph import Vertex
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.solver.known import Known
    from ocibuild.solver.plan import MadeVertex
    from ocibuild.solver.workshop import Inputs, Workshop
    from ocibuild.store import Layer, LayerRecord, Snapshot, Store


class Bringer:
    """Brings in what comes from elsewhere; ``record`` keeps a result that a cache had for the builds to come.

    A vertex here is one of ``plan.roots()``. ``has_given_up`` is whether a cache could not give what it has.
    """

    def __init__(
        self,
        inputs: Inputs,
        known: Known,
        shop: Callable[[], Workshop],
        record: Callable[[MadeVertex, Made], None],
    ) -> None:
        self.has_given_up = False
        self._inputs = inputs
        self._known = known
        self._shop = shop
        self._record = record

    def is_there(self, root: Vertex, extent: Extent, *, blobs: bool) -> bool:
        """Tell whether enough of it is there; if so, that is known from now on."""
        layers = layers_of(root, self._known)
        if blobs and not all(map(self._known.has_blob, layers)):
            return False
        if extent is Extent.NOTHING:
            return True
        found = find_stack(self._inputs.store, layers, extent)
        if found is not None:
            self._know(root, *found)
        return found is not None

    def bring(self, root: Vertex, step: int, extent: Extent, *, blobs: bool) -> None:
        """Bring in what is missing; raises Withdrawn where a cache cannot give it, and nothing is found there any more.

        ``blobs`` wants the blobs of the layers too, but for those that all who get the image have.
        """
        try:
            with told(self._inputs, root, step) as outcome:
                outcome.cached = not isinstance(root, Image)
                self._bring(root, step, extent, blobs=blobs)
        except (Interrupted, StoreError):
            raise
        except OcibuildError as error:
            if isinstance(root, Image):
                raise
            self._give_up(root, error)
            raise Withdrawn from error

    def _bring(self, root: Vertex, step: int, extent: Extent, *, blobs: bool) -> None:
        from ocibuild.solver.operations.image import materialise

        if not is_linked(root):
            self._known.name_chain(_chain_of(root))
        layers = layers_of(root, self._known)
        wanted = [layer for layer in layers if blobs and not self._is_provided(layer)]
        strange = {record.layer for record in self._cached_of(root)}
        verified = [layer for layer in wanted if layer in strange]
        origin = self._origin_of(root)
        stack = materialise(self._shop(), layers, origin, extent, blobs=wanted, verified=verified, step=step)
        if extent is not Extent.NOTHING:
            self._know(root, stack, extent)
        for layer in wanted:
            self._shop().outlet.arrived(layer.descriptor)

    def _know(self, root: Vertex, stack: Sequence[Snapshot], extent: Extent) -> None:
        """Take ``stack`` for what it is, and what was cached elsewhere of it for results of this store."""
        known = self._known
        if not is_linked(root):
            known.roots[known.keys[root]] = tuple(stack)
        if extent is not Extent.FILES:
            return
        own = [vertex for vertex in _chain_of(root) if isinstance(vertex, LayerVertex)]
        for vertex, snapshot in zip(reversed(own), reversed(stack), strict=False):
            key = known.keys[vertex]
            if key in known.elsewhere:
                known.made[key] = Made(snapshot, known.elsewhere[key].created)
                self._record(vertex, known.made[key])

    def _is_provided(self, layer: Layer) -> bool:
        return not self._known.has_blob(layer) and self._shop().outlet.provides(layer.descriptor)

    def _origin_of(self, root: Vertex) -> BlobOrigin:
        from ocibuild.solver.operations.image import Origins

        lowest = _chain_of(root)[0]
        image = self._shop().origin_of(lowest) if isinstance(lowest, Image) else None
        if lowest is root and image:
            return image
        caches = self._inputs.elsewhere
        assert caches is not None
        return Origins(
            {layer.descriptor.digest: image for layer in self._known.image_layers(lowest) if image}
            | {record.layer.descriptor.digest: caches.origin_of(record) for record in self._cached_of(root)}
        )

    def _cached_of(self, root: Vertex) -> list[LayerRecord]:
        """Return what a cache elsewhere has of it."""
        keys = map(self._known.keys.__getitem__, _chain_of(root))
        return [self._known.elsewhere[key] for key in keys if key in self._known.elsewhere]

    def _give_up(self, root: Vertex, error: OcibuildError) -> None:
        """Take nothing of it from a cache elsewhere any more."""
        self.has_given_up = True
        assert self._inputs.elsewhere is not None
        keys = [record.key for record in self._cached_of(root)]
        self._known.lost.update(keys)
        self._inputs.elsewhere.forget(keys, error.message)


def find_stack(store: Store, layers: Sequence[Layer], extent: Extent) -> tuple[tuple[Snapshot, ...], Extent] | None:
    """Return the snapshots of a stack of layers, or their outlines where these will do, and which of the two."""
    stack = store.snapshots.by_layers(layers)
    if stack is not None:
        return stack, Extent.FILES
    stack = store.snapshots.by_layers(layers, outline=True) if extent is Extent.OUTLINE else None
    return (stack, extent) if stack is not None else None


def layers_of(root: Vertex, known: Known) -> tuple[Layer, ...]:
    """Return the layers of what comes from elsewhere as a whole, oldest first: an image, a cached tree or copy."""
    chain = _chain_of(root)
    own = [known.layer(vertex) for vertex in chain if isinstance(vertex, LayerVertex)]
    return (*known.image_layers(chain[0]), *own)


def _chain_of(root: Vertex) -> list[Vertex]:
    """Return what is brought with it, the lowest first."""
    return [root] if is_linked(root) else list(base_chain(root))[::-1]
