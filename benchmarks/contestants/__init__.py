"""Who takes part: one module, one class a contestant."""

from benchmarks.contestants.buildah import Buildah
from benchmarks.contestants.buildkit import BuildKit
from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.ocibuild import Ocibuild

__all__ = ["BuildKit", "Buildah", "Contestant", "Ocibuild"]
