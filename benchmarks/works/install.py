"""What the sandbox costs a program that makes many system calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants import Chroot
from benchmarks.images import COMPILER, COMPILER_LAYER
from benchmarks.works.work import Targets, Work

if TYPE_CHECKING:
    from benchmarks.contestants import Contestant
    from benchmarks.measure import Command
    from benchmarks.works.work import Site

# apt's own user is one that nobody is given in a namespace with one ID
_SCRIPT = "apt-get -o APT::Sandbox::User=root install -y --no-install-recommends --no-download gcc"


class Install(Work):
    """``apt-get install gcc`` from packages that are there: whole processes, the image unpacked before."""

    peers = ("unshare -r chroot",)

    def __init__(self, name: str, title: str, contestant: str, ratio: float) -> None:
        self.name = name
        self.title = title
        self.ours = (contestant,)
        self.targets = Targets({"unshare -r chroot": ratio}, peak=None)  # apt itself takes most

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:  # noqa: ARG002  (each is alike)
        published = site.publish(COMPILER, "warm")
        if isinstance(contestant, Chroot):
            site.do(contestant.plant(COMPILER_LAYER.path))
        else:
            site.do(contestant.pull(published.reference))
        return contestant.run(published.reference, _SCRIPT)
