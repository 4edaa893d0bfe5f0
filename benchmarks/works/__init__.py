"""What is to be done: one module, one class a piece of work."""

from benchmarks.works.cached import Cached
from benchmarks.works.cold import Cold
from benchmarks.works.steps import Steps
from benchmarks.works.work import Site, Targets, Work

WORKS: tuple[Work, ...] = (Cold(), Steps(), Cached())

__all__ = ["WORKS", "Site", "Targets", "Work"]
