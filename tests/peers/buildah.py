"""Buildah with a store of its own, as root: what it builds and mounts is what ocibuild's images are held against."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.mounts import OwnMounts, own_mounts
from tests.support.peers import require_peer
from tests.support.trees import tree_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.trees import Tree


@dataclass(frozen=True, slots=True)
class Buildah:
    program: str
    folder: Path
    mounts: OwnMounts

    def __call__(self, *words: str | Path) -> str:
        """Run a command of buildah, which must succeed, and return its output."""
        store = ("--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"))
        command = [self.program, *store, *map(str, words)]
        result = self.mounts.run(*command)
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
        return result.stdout.strip()

    def build(self, context: Path, *words: str) -> str:
        """Build and return the image's ID."""
        how = ("--isolation", "chroot", "--layers", "--format", "docker", "--tls-verify=false")
        return self("build", *how, *words, "--iidfile", self.folder / "id", context) and (
            (self.folder / "id").read_text().strip()
        )

    def config(self, image: str) -> dict[str, Any]:
        """Return how the image is run, as docker writes it."""
        config: dict[str, Any] = json.loads(self("inspect", "--type", "image", image))["Docker"]["config"]
        return config

    def mounted(self, container: str) -> Path:
        """Mount a container, until it is removed, and return where its tree is seen."""
        return self.mounts.path(self("mount", container))

    def tree(self, image: str) -> Tree:
        """Return the tree of an image, of its own or of a registry."""
        container = self("from", "--tls-verify=false", image)
        try:
            return tree_of_folder(self.mounted(container))
        finally:
            self("rm", container)


@contextmanager
def buildah_in(folder: Path) -> Iterator[Buildah]:
    """Yield buildah with a store in ``folder``."""
    with own_mounts() as mounts:
        buildah = Buildah(require_peer("buildah"), folder, mounts)
        try:
            yield buildah
        finally:
            buildah("rm", "--all")
            buildah("rmi", "--all", "--force")
