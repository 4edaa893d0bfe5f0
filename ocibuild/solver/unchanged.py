"""What a COPY takes from a build context that a COPY of before took just the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ocibuild.graph import Context
from ocibuild.solver.operations.sharing import Shared
from ocibuild.source import in_one_directory

if TYPE_CHECKING:
    from ocibuild.graph import Copy
    from ocibuild.solver.keys import Inputs
    from ocibuild.solver.known import Known
    from ocibuild.solver.listings import Listings
    from ocibuild.solver.reasons import Reasons
    from ocibuild.source import Listing
    from ocibuild.store import Snapshots


def find_shared(vertex: Copy, known: Known, reasons: Reasons, snapshots: Snapshots) -> Shared | None:
    """Return what a COPY of one directory may share with the one of before that it is most like, if there is one.

    The snapshot counts as used from now on, so it is not pruned while this process works with the store.
    """
    if [(type(source.tree), len(source.paths)) for source in vertex.sources] != [(Context, 1)]:
        return None
    for earlier in reasons.of_other_files(vertex):
        before = _files(json.loads(earlier.inputs), known.listings)
        now = _files(known.keys.inputs(vertex), known.listings)
        unchanged = {name for name, _ in before.items() & now.items()}
        snapshot = snapshots.by_id(earlier.snapshot) if unchanged else None
        if snapshot is not None:
            return Shared(snapshot, unchanged)
    return None


def _files(inputs: Inputs, listings: Listings) -> Listing:
    """Return what such a COPY takes, by names relative to its directory; nothing where that is not known."""
    listing = listings.get(inputs["sources"][0]["context"])
    return (in_one_directory(listing) if listing is not None else None) or {}
