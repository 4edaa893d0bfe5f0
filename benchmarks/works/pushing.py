"""A build that ends in a registry."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from benchmarks.measure import CommandFailed
from benchmarks.registry import PROGRAM
from benchmarks.works.work import Work

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.images import Image
    from benchmarks.measure import Command
    from benchmarks.works.work import Published, Site

_MIB = 1 << 20


class Pushing(Work):
    """One layer more on an image that the store has and that the repository has to which is pushed.

    Nobody has seen that layer before. Of what is sent, the layers of the image are counted, as compressed.
    """

    needs = PROGRAM
    counted = "MiB sent"
    peers = ("docker", "buildah")
    remark = "docker: build --push; buildah: build, and push after it; all push to the repository of the base"

    def __init__(self, image: Image) -> None:
        self._image = image
        self._tag = ""
        self._mark = 0

    @abstractmethod
    def context(self, site: Site, base: str, unique: str) -> str:
        """Return a context that makes one layer, which is another one for another word."""

    def prepare(self, contestant: Contestant, site: Site, turn: int) -> Command:
        base = self._base(site).reference
        site.do(contestant.build(site.context(base, "RUN echo present"), "bench-present"))
        self._tag = f"{self.name}-{turn}-{self.contestants.index(contestant.name)}"
        context = self.context(site, base, self._tag)
        self._mark = site.registry.mark()
        return contestant.build_and_push(context, f"{base.rpartition(':')[0]}:{self._tag}")

    def count(self, site: Site) -> int:
        try:
            sizes = site.registry.layers(self._image.name, self._tag)
        except LookupError as error:
            raise CommandFailed(str(error)) from error
        if len(sizes) != len(self._image.layers) + 1:
            raise CommandFailed(f"{len(sizes)} layers were pushed in place of {len(self._image.layers) + 1}")
        sent = self._sent(site)
        return round(sum(size * sent[digest] for digest, size in sizes.items()) / _MIB)

    def clear(self, contestant: Contestant, site: Site) -> None:
        site.registry.remove(self._sent(site).keys() - self._base(site).variant.sizes.keys())
        if contestant.name in self.ours:
            contestant.renew()  # the base comes back quickly, and layers are kept twice, packed and unpacked

    def finish(self, contestants: Sequence[Contestant], site: Site) -> None:  # noqa: ARG002  (its store is what is full)
        for contestant in contestants:
            contestant.renew()

    def _base(self, site: Site) -> Published:
        return site.publish(self._image, "warm")

    def _sent(self, site: Site) -> Counter[str]:
        return site.registry.uploaded(self._mark)
