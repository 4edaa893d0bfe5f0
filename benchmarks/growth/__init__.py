"""How ocibuild's time grows with the size of what it builds, alone: ``python -m benchmarks --growth``."""

from benchmarks.growth.course import Course, follow
from benchmarks.growth.growing import Growing, GrowingBytes, GrowingFiles, GrowingSteps
from benchmarks.growth.report import GrowthReport

GROWTHS: tuple[Growing, ...] = (GrowingSteps(), GrowingFiles(), GrowingBytes())

__all__ = ["GROWTHS", "Course", "Growing", "GrowthReport", "follow"]
