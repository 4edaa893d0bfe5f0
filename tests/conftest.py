"""What tests of all kinds share: registries, base images, an ordinary user; and in CI no test may be left out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.base import CONFIG, write_base
from demo.registry import serve
from demo.upload import upload_image
from ocibuild.oci import Platform
from tests.support.bases import BUSYBOX_CONFIG, DEBIAN_CONFIG, SUITE, arm64_debian_tar, debian_tar, write_busybox
from tests.support.peers import docker_registry
from tests.support.rootless import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.support.rootless import OrdinaryUser


@pytest.fixture(scope="session", autouse=True)
def no_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Peers look for credentials where only root may read, unless they are told of a file."""
    path = tmp_path_factory.mktemp("credentials") / "auth.json"
    path.write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGISTRY_AUTH_FILE", str(path))
        yield


@pytest.fixture(scope="session")
def standin() -> Iterator[str]:
    """The address of the demo's registry stand-in, which needs nothing on the machine."""
    with serve() as service:
        yield service.address


@pytest.fixture(scope="session")
def machine_base(standin: str) -> str:
    """The reference of a base image made of this machine's own files, in the stand-in."""
    reference = f"{standin}/demo/base:latest"
    with tempfile.TemporaryFile() as tar:
        write_base(tar.write)
        tar.seek(0)
        upload_image(reference, tar, CONFIG, created_by="this machine's own files")
    return reference


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry on loopback."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def busybox_base(registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reference of a 2 MB base image in the real registry."""
    reference = f"{registry}/library/busybox:latest"
    path = tmp_path_factory.mktemp("busybox") / "layer.tar"
    write_busybox(path)
    with path.open("rb") as tar:
        upload_image(reference, tar, BUSYBOX_CONFIG, created_by="busybox-static")
    return reference


@pytest.fixture(scope="session")
def debian_base(registry: str) -> str:
    """The reference of a minimal Debian in the real registry."""
    reference = f"{registry}/library/debian:{SUITE}"
    with debian_tar().open("rb") as tar:
        upload_image(reference, tar, DEBIAN_CONFIG, created_by="mmdebstrap")
    return reference


@pytest.fixture(scope="session")
def arm64_base(registry: str) -> str:
    """The reference of a minimal Debian for arm64 in the real registry."""
    reference = f"{registry}/arm64v8/debian:{SUITE}"
    with arm64_debian_tar().open("rb") as tar:
        platform = Platform("linux", "arm64")
        upload_image(reference, tar, DEBIAN_CONFIG, created_by="mmdebstrap", platform=platform)
    return reference


@pytest.fixture
def rootless() -> Iterator[OrdinaryUser]:
    """An ordinary user with an empty home; its ``run("ocibuild", …)`` runs the installed package."""
    with ordinary_user() as user:
        yield user


# The files that take longest, the longest first.
_LONG = (
    "differential/test_differential.py",
    "end_to_end/test_real_world.py",
    "rows/test_rows.py",
    "end_to_end/test_kill.py",
    "rows/test_containers.py",
    "end_to_end/test_foreign.py",
    "end_to_end/test_bad_input.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: where several processes share the tests, none is left with it at the end."""
    long = {Path(__file__).parent / name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: long.get(item.path, len(long)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a test that was left out is one that failed."""
    if os.environ.get("OCIBUILD_CI") == "1" and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"left out, and in CI none may be: {reason}"
