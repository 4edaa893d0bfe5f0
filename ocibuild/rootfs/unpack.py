"""Layers of an image to snapshots: each in its own folder, several at once, each once on a machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from ocibuild.errors import naming
from ocibuild.fs import Root
from ocibuild.layer.apply import apply
from ocibuild.layer.limits import Allowance
from ocibuild.layer.settle import settle
from ocibuild.oci import Limits, chain_ids, compression_of
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.layer.apply import Applied
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import ChainID
    from ocibuild.store import ActiveSnapshot, Layer, Snapshot, Store


_LIMITS = Limits()


class Blob(Protocol):
    """What the bytes of a blob are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, at least one before the end."""

    def close(self) -> None:
        """Stop reading."""


class _Missing(NamedTuple):
    """A layer that has no snapshot yet: its place in the stack, and where it goes."""

    position: int
    active: ActiveSnapshot


def unpack(
    store: Store,
    layers: Sequence[Layer],
    open_blob: Callable[[Layer], Blob],
    *,
    ownership: Ownership,
    progress: Callable[[Layer, int], None],
    limits: Limits = _LIMITS,
    outline: bool = False,
) -> tuple[Snapshot, ...]:
    """Unpack what is missing of a stack of layers and return its snapshots, oldest first.

    ``open_blob`` may give a blob that is still arriving. Another process that unpacks the same layer is waited for.
    ``progress`` hears how many further bytes of a layer's blob were read. Raises InvalidLayer and DigestMismatch; then
    nothing is kept of that layer and those above it. ``limits`` count for what is unpacked by this call. With
    ``outline`` regular files are made empty.
    """
    chains = chain_ids([layer.diff_id for layer in layers])
    stack: list[Snapshot | None] = []
    with ExitStack() as cleanup:
        missing = []
        for position, chain in enumerate(chains):
            # always from the bottom up, so two processes never wait for each other
            snapshot = store.snapshots.by_chain(chain, outline=outline)
            if snapshot is None:
                cleanup.enter_context(store.locks.holding(f"chain {chain}"))
                snapshot = store.snapshots.by_chain(chain, outline=outline)
            if snapshot is None:
                missing.append(_Missing(position, cleanup.enter_context(store.snapshots.begin(outline=outline))))
            stack.append(snapshot)
        allowance = Allowance(limits.total)
        applied = _apply_all(missing, layers, open_blob, ownership, progress, limits, allowance, outline=outline)
        for (position, active), result in zip(missing, applied, strict=True):
            below = [snapshot for snapshot in stack[:position] if snapshot]
            stack[position] = _commit(active, chains[position], layers[position], result, below, allowance)
    return tuple(snapshot for snapshot in stack if snapshot)


def _apply_all(
    missing: Sequence[_Missing],
    layers: Sequence[Layer],
    open_blob: Callable[[Layer], Blob],
    ownership: Ownership,
    progress: Callable[[Layer, int], None],
    limits: Limits,
    allowance: Allowance,
    *,
    outline: bool,
) -> list[Applied]:
    def apply_one(item: _Missing) -> Applied:
        layer = layers[item.position]
        blob = open_blob(layer)
        try:
            with naming(layer.descriptor.digest), Root.open(item.active.upper) as root:
                return apply(
                    blob,
                    compression_of(layer.descriptor.media_type),
                    root,
                    owners=ownership,
                    expect=layer.diff_id,
                    limits=limits,
                    allowance=allowance,
                    name=layer.descriptor.digest,
                    progress=lambda done: progress(layer, done),
                    outline=outline,
                )
        finally:
            blob.close()

    if len(missing) <= 1:
        return [apply_one(item) for item in missing]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(apply_one, missing))


def _commit(
    active: ActiveSnapshot,
    chain: ChainID,
    layer: Layer,
    applied: Applied,
    below: Sequence[Snapshot],
    allowance: Allowance,
) -> Snapshot:
    if applied.implied or applied.links:
        with ExitStack() as cleanup:
            root = cleanup.enter_context(Root.open(active.upper))
            lowers = [cleanup.enter_context(Root.open(snapshot.path)) for snapshot in reversed(below)]
            settle(root, applied, lowers, allowance)
    return active.commit(chain_id=chain, layer=layer)
