"""One copy, from opening the source to the digest of what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.oci import Index
from ocibuild.transfer.copying import copy
from ocibuild.transfer.ends import check_destination
from ocibuild.transfer.locations import DockerArchiveLocation
from ocibuild.transfer.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.oci import Descriptor, Digest
    from ocibuild.transfer.ends import Ends
    from ocibuild.transfer.locations import Location
    from ocibuild.transfer.plan import Selection


def transfer(
    ends: Ends,
    origin: Location,
    target: Location,
    selection: Selection,
    *,
    progress: Callable[[Descriptor, int], None],
    abandon: Callable[[], None],
) -> Digest:
    """Copy ``selection`` of what is at ``origin`` to ``target``, and return the digest of what is there then.

    The target is not touched before all manifests of the source were read. See ``make_plan`` and ``copy``; raises
    UsageError where nothing can be copied to the target, UnsupportedMediaType for an index to a docker archive.
    """
    check_destination(target)
    with ends.open_source(origin) as source:
        plan = make_plan(source, selection)
        if isinstance(plan.root.content, Index) and isinstance(target, DockerArchiveLocation):
            from ocibuild.archive import index_refused

            raise index_refused(str(target))
        with ends.open_destination(target) as destination:
            copy(source, destination, plan, progress=progress, abandon=abandon)
    return plan.root.descriptor.digest
