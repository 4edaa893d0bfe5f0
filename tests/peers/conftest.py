from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peers.buildah import buildah_in
from tests.peers.podman import podman_in
from tests.support.docker import docker_engine
from tests.support.programs import ocibuild, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.buildah import Buildah
    from tests.peers.podman import Podman
    from tests.support.docker import Docker

__all__ = ["ocibuild", "shared"]


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    with buildah_in(tmp_path_factory.mktemp("buildah")) as buildah:
        yield buildah


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with docker_engine(tmp_path_factory.mktemp("docker")) as docker:
        yield docker


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    # podman takes no path of more than 50 characters
    with tempfile.TemporaryDirectory(prefix="podman-") as folder, podman_in(Path(folder)) as podman:
        yield podman
