"""What is to be done: one module, one class a piece of work."""

from benchmarks.images import BASE, BIG, HUGE, MANY
from benchmarks.works.cached import Cached
from benchmarks.works.changed import Changed
from benchmarks.works.cold import Cold
from benchmarks.works.copy import Copy
from benchmarks.works.first import First
from benchmarks.works.fromcache import FromCache
from benchmarks.works.install import Install
from benchmarks.works.listing import Listing
from benchmarks.works.onemore import OneMore
from benchmarks.works.onto import Onto
from benchmarks.works.pull import Pull
from benchmarks.works.push import Push
from benchmarks.works.save import Save
from benchmarks.works.stages import Stages
from benchmarks.works.steps import Steps
from benchmarks.works.together import Together
from benchmarks.works.work import Site, Targets, Work
from benchmarks.works.written import Written

_BOTH = ("ocibuild, root", "ocibuild, user")

WORKS: tuple[Work, ...] = (
    Cold(),
    Steps(),
    Cached(),
    FromCache(),
    Stages(),
    Changed(),
    Written(),
    Onto(),
    OneMore("one-more", "one more RUN", BASE, 10, snapshotter="overlay", ours=(*_BOTH, "ocibuild, one ID")),
    OneMore("one-more-copy", "one more RUN by copying, 10,000 files", BASE, 60, snapshotter="copy", ours=_BOTH),
    OneMore("one-more-many", "one more RUN by copying, 100,000 files", MANY, 500, snapshotter="copy", ours=_BOTH[:1]),
    Install("install", "apt-get install gcc, a range of IDs", "ocibuild, user", 1.05),
    Install("install-one", "apt-get install gcc, one ID", "ocibuild, one ID", 1.15),
    Install("install-proot", "apt-get install gcc, under proot", "ocibuild, proot", 2.0),
    First(),
    Listing(),
    Save(),
    Push(),
    Copy("copy", "copy a 1 GiB image between registries", BIG, {"skopeo": 0.7}),
    Together(),
    Pull("pull", "pull a 1 GiB image, unpacked", BIG, _BOTH, {"docker": 0.5, "podman": 0.4}),
    Pull("pull-huge", "pull an 8 GiB layer, unpacked", HUGE, _BOTH[:1], {}),
    Copy("copy-huge", "copy an 8 GiB layer between registries", HUGE, {}),
)

__all__ = ["WORKS", "Site", "Targets", "Work"]
