"""``ocibuild copy`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Platform, Reference
from ocibuild.store import Store
from tests.unit.archive.images import AMD64, ARM64, put_image, put_index, write_oci_layout

if TYPE_CHECKING:
    from ocibuild.oci import Descriptor

_CHECKOUT = Path(__file__).parents[3]


def copy(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocibuild", "copy", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(_CHECKOUT)},
        stdin=subprocess.DEVNULL, cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def images(tmp_path: Path) -> dict[Platform, Descriptor]:
    """A layout with an index of two images; the value is the images."""
    with Store.open(str(tmp_path / "made")) as store:
        made = {
            platform: put_image(store, tmp_path / str(platform).replace("/", "-"), platform=platform)
            for platform in (AMD64, ARM64)
        }
        write_oci_layout(store.blobs, put_index(store, made), [Reference.parse("app:1")], str(tmp_path / "layout"))
    return made


def index(folder: Path) -> str:
    digest = json.loads((folder / "layout/index.json").read_bytes())["manifests"][0]["digest"]
    assert isinstance(digest, str)
    return digest


def test_the_digest_is_printed_and_written_and_progress_is_elsewhere(
    images: dict[Platform, Descriptor], tmp_path: Path
) -> None:
    done = copy(tmp_path, "--all", "--preserve-digests", "--digestfile", "digest", "oci:layout:1", "dir:d")
    assert (done.returncode, done.stdout) == (0, f"{index(tmp_path)}\n")
    assert (tmp_path / "digest").read_text() == index(tmp_path)
    assert "copying oci:layout:1 to dir:d" in done.stderr
    assert f"copying {images[AMD64].digest.short}" not in done.stderr  # a manifest is no transfer
    assert "DONE" in done.stderr


def test_quiet_is_quiet(images: dict[Platform, Descriptor], tmp_path: Path) -> None:
    done = copy(tmp_path, "-q", "--platform", "linux/arm64", "oci:layout:1", "store:app")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{images[ARM64].digest}\n", "")


@pytest.mark.parametrize(
    "words", [["--platform", "linux/amd64,linux/arm64"], ["--platform=linux/arm64", "--platform", "linux/amd64"]]
)
@pytest.mark.usefixtures("images")
def test_all_platforms_by_name_are_the_index(words: list[str], tmp_path: Path) -> None:
    assert copy(tmp_path, "-q", *words, "oci:layout:1", "dir:d").stdout == f"{index(tmp_path)}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["oci:layout:1"], "ocibuild copy: Missing argument 'DESTINATION'."),
        (
            ["oci:layout:1", "somewhere"],
            "ocibuild: 'somewhere': it does not begin with a transport (known are docker://",
        ),
        (["layout:1", "dir:d"], "ocibuild: 'layout:1': 'layout' is not a transport"),
        (["docker://A", "dir:d"], "ocibuild: 'docker://A': "),
        (["docker-daemon:app", "dir:d"], "the transport docker-daemon: is not supported"),
        (["-a", "--platform", "linux/arm64", "oci:layout:1", "dir:d"], "(give --all or --platform)"),
        (["--src-tls-verify=false", "oci:layout:1", "dir:d"], "--src-tls-verify is not supported yet"),
        (["oci:layout:1", "docker-archive:a:@0"], "a destination has no number"),
    ],
)
def test_wrong_usage_has_a_status_of_its_own(words: list[str], message: str, tmp_path: Path) -> None:
    done = copy(tmp_path, "-q", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "d").exists()


@pytest.mark.usefixtures("images")
def test_what_goes_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    done = copy(tmp_path, "-q", "oci:layout:2", "dir:d")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ocibuild: oci:layout:2: no image with the tag '2' in the layout (it has 1)\n"
    done = copy(tmp_path, "-q", "--platform", "linux/s390x", "oci:layout:1", "dir:d")
    assert done.stderr == "ocibuild: oci:layout:1: no image for linux/s390x (it has linux/amd64, linux/arm64)\n"
    done = copy(tmp_path, "-q", "--all", "oci:layout:1", "docker-archive:a.tar")
    assert "a docker archive holds one image" in done.stderr
    assert not (tmp_path / "d").exists()
