"""The image of a CI job, with Python and no ocibuild, and containers of it in which a checkout's ocibuild runs."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.bases import SUITE, debootstrapped
from tests.support.docker import docker_engine
from tests.support.rootless import CHECKOUT, PIP, made_of_sources, run_checked
from tests.support.setup_peers import SYSTEM_PYTHON

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.docker import Docker

IMAGE = "ci-base"
_PACKAGES = "python3,proot,uidmap,ca-certificates"
_PYTHON = "3.11"  # of this Debian
_VERSION = 1  # to be raised when the image is to be made anew


def ci_tar() -> Path:
    """Return the tar of the image, made once with mmdebstrap; the user ``builder`` is 1000, with a range."""
    account = '--customize-hook=chroot "$1" useradd --create-home --uid 1000 builder'
    return debootstrapped(f"{IMAGE}-{SUITE}-{_VERSION}.tar", f"--include={_PACKAGES}", account)


def ci_packages() -> Path:
    """Return a folder with ocibuild as a wheel has it, and with what it needs, for the image's Python."""
    return made_of_sources("ci-packages", _install)


def _install(folder: Path) -> None:
    wheels = folder / "wheels"
    run_checked(SYSTEM_PYTHON, *PIP, "wheel", "--no-deps", "--wheel-dir", wheels, CHECKOUT)
    (wheel,) = wheels.glob("*.whl")
    form = f"manylinux2014_{platform.machine()}"
    pip = (SYSTEM_PYTHON, *PIP, "install", "--target", folder, "--python-version", _PYTHON)
    run_checked(*pip, "--platform", form, "--only-binary", ":all:", wheel)


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
