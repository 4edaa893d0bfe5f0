"""Start-up is a feature: what a command does not need it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.store import Store
from tests.unit.archive.images import put_image, write_oci_layout
from tests.unit.solver.bench import SHELL, Bench

_CHECKOUT = Path(__file__).parents[2]
_EXECUTORS = (f"ocibuild.executor.{name}" for name in ("bare", "chroot", "emulation", "probe", "proot"))
_NEVER = frozenset(
    {
        "_pytest", "asyncio", "concurrent.futures", "certifi", "http.client", "isal", "jsonschema", "lzma",
        "multiprocessing", "ocibuild.archive", *_EXECUTORS, "ocibuild.registry", "ocibuild.rootfs.overlay",
        "referencing", "requests", "rich", "ssl", "subprocess", "tarfile", "tomllib", "urllib.request", "urllib3",
        "zstandard",
    }
)  # fmt: skip
"""What neither ``version`` nor ``images`` nor a build that is all cached imports."""
_NOT_FOR_VERSION = frozenset({"ocibuild.api", "ocibuild.oci", "ocibuild.store", "ocibuild.layer", "sqlite3", "json"})


def imported(*words: str) -> set[str]:
    """Return the modules that a command imports."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ocibuild", *words],
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=True,
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def offending(found: set[str], unwanted: frozenset[str]) -> list[str]:
    return sorted(
        name for name in found if any(name == one or name.startswith(f"{one}.") for one in unwanted)
    )  # a package counts with all that is in it


@pytest.fixture
def cached_build(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.add_shell()
    bench.write("src/file", "content")
    assert not bench.build(f"{SHELL}COPY src /src\nRUN true\nWORKDIR /w\n").error
    return bench


def test_version_imports_next_to_nothing() -> None:
    assert offending(imported("version"), _NEVER | _NOT_FOR_VERSION) == []


def test_images_imports_only_what_reads_the_store(cached_build: Bench) -> None:
    found = imported("--root", str(cached_build.root), "images", "-a")
    of_builds = {f"ocibuild.{name}" for name in ("layer", "solver", "dockerfile", "build", "sandbox.seccomp")}
    assert offending(found, _NEVER | of_builds) == []


def test_a_build_that_is_all_cached_imports_nothing_that_makes_layers(cached_build: Bench) -> None:
    words = ("--root", str(cached_build.root), "build", "-q", str(cached_build.context))
    found = imported(*words)
    assert offending(found, _NEVER | {"ocibuild.layer", "ocibuild.solver.operations.copy"}) == []
    assert "ocibuild.solver.solve" in found


_MAKES_LAYERS = frozenset(
    {*(f"ocibuild.layer.{name}" for name in ("apply", "pack", "reader", "unpack", "writer")), "ocibuild.rootfs.unpack"}
)


def test_run_imports_nothing_that_builds(cached_build: Bench) -> None:
    """Nor what makes or unpacks layers, where they are unpacked."""
    root = str(cached_build.root)
    words = ("--root", root, "build", "-q", "-t", "app", str(cached_build.context))
    subprocess.run([sys.executable, "-m", "ocibuild", *words], cwd=_CHECKOUT, capture_output=True, check=True)
    found = imported("--root", root, "run", "--rm", "app", "/bin/busybox", "true")
    of_builds = frozenset(f"ocibuild.{name}" for name in ("build", "solver", "dockerfile", "output"))
    unwanted = _NEVER - {"ocibuild.executor.chroot", "ocibuild.executor.emulation", "ocibuild.rootfs.overlay"}
    assert offending(found, unwanted | of_builds | _MAKES_LAYERS | {"secrets", "urllib", "shutil"}) == []
    assert "ocibuild.sandbox.step" in found


@pytest.mark.parametrize(
    "words", [("validate", "{}/layout"), ("copy", "-q", "oci:{}/layout", "oci-archive:{}/copy.tar")], ids=lambda w: w[0]
)
def test_what_only_reads_layers_imports_nothing_that_runs_steps(words: tuple[str, ...], tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "made")) as store:
        write_oci_layout(store.blobs, put_image(store, tmp_path / "image"), [], str(tmp_path / "layout"))
    found = imported(*(word.format(tmp_path) for word in words))
    assert offending(found, frozenset({"ocibuild.sandbox", "ocibuild.executor", "ocibuild.rootfs", "ctypes"})) == []
    assert "ocibuild.layer" in found


def test_a_build_that_mounts_imports_nothing_that_copies_trees(cached_build: Bench) -> None:
    cached_build.write("src/file", "other content")
    found = imported("--root", str(cached_build.root), "build", "-q", str(cached_build.context))
    of_copies = frozenset(f"ocibuild.rootfs.{name}" for name in ("copy", "capture", "index", "trees"))
    assert offending(found, of_copies) == []
    assert "ocibuild.rootfs.overlay" in found
