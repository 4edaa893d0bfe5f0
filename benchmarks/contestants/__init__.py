"""Who takes part: one module, one class a contestant."""

from benchmarks.contestants.buildah import Buildah
from benchmarks.contestants.chroot import Chroot
from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.crowd import Crowd
from benchmarks.contestants.docker import Docker
from benchmarks.contestants.ocibuild import Ocibuild
from benchmarks.contestants.podman import Podman
from benchmarks.contestants.skopeo import Skopeo

__all__ = ["Buildah", "Chroot", "Contestant", "Crowd", "Docker", "Ocibuild", "Podman", "Skopeo"]
