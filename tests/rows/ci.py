"""The image of a CI job, with Python and no ocibuild, and containers of it in which a checkout's ocibuild runs."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.bases import SUITE, debootstrapped
from tests.support.cache import cache_folder, locked
from tests.support.docker import docker_engine
from tests.support.rootless import CHECKOUT, version_of_sources
from tests.support.setup_peers import SYSTEM_PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.docker import Docker

IMAGE = "ci-base"
_PACKAGES = "python3,proot,uidmap,ca-certificates"
_PYTHON = "3.11"  # of this Debian
_VERSION = 1  # to be raised when the image is to be made anew
_KEPT_SECONDS = 24 * 3600
_PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def ci_tar() -> Path:
    """Return the tar of the image, made once with mmdebstrap; the user ``builder`` is 1000, with a range."""
    account = '--customize-hook=chroot "$1" useradd --create-home --uid 1000 builder'
    return debootstrapped(f"{IMAGE}-{SUITE}-{_VERSION}.tar", f"--include={_PACKAGES}", account)


def ci_packages() -> Path:
    """Return a folder with ocibuild as a wheel has it, and with what it needs, for the image's Python."""
    with locked(f"ci-packages-{version_of_sources()}") as folder:
        if not folder.exists():
            _remove_old()
            making = folder.with_name(f"making-{folder.name}")
            shutil.rmtree(making, ignore_errors=True)
            wheels = making / "wheels"
            _run(SYSTEM_PYTHON, *_PIP, "wheel", "--no-deps", "--wheel-dir", wheels, CHECKOUT)
            (wheel,) = wheels.glob("*.whl")
            form = f"manylinux2014_{platform.machine()}"
            pip = (SYSTEM_PYTHON, *_PIP, "install", "--target", making, "--python-version", _PYTHON)
            _run(*pip, "--platform", form, "--only-binary", ":all:", wheel)
            _run("chmod", "-R", "a+rX", making)
            making.rename(folder)
    return folder


def _remove_old() -> None:
    """Remove what was not made in the last day: the tests of another checkout may run from theirs just now."""
    for path in cache_folder().glob("ci-packages-*"):
        if path.is_dir() and path.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(path)
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _run(*words: str | Path) -> None:
    done = subprocess.run(list(words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}"


@contextmanager
def running(folder: Path) -> Iterator[Docker]:
    """Run docker, with the image in it."""
    with docker_engine(folder) as docker:
        docker("import", str(ci_tar()), IMAGE)
        yield docker


def in_container(
    docker: Docker, options: tuple[str, ...], folder: Path, *words: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a command of ocibuild in a container that reads ``folder``, where it is here."""
    packages = ci_packages()
    mounts = [word for path in (folder / "context", folder / "token", packages) for word in ("-v", f"{path}:{path}:ro")]
    settings = ("--rm", "--network", "host", "--env", f"PYTHONPATH={packages}", *mounts)
    return docker.try_run("run", *settings, *options, IMAGE, "python3", "-m", "ocibuild", *map(str, words))
