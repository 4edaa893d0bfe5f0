"""Base images for the tests, as plain tars in the cache."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from demo.elf import read_elf
from demo.tree import Tree
from ocibuild.executor.elf import PROCESSORS, pattern
from ocibuild.oci import RunConfig
from ocibuild.sandbox import Handler, enter
from ocibuild.sandbox.binfmt import Handlers
from ocibuild.sandbox.syscalls import CLONE_NEWNS, CLONE_NEWUSER, setns, unshare
from tests.support.cache import made_once
from tests.support.lab import in_child
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUITE = "bookworm"
_SEARCH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUSYBOX_CONFIG = RunConfig(env=(_SEARCH,), cmd=("sh",))
DEBIAN_CONFIG = RunConfig(env=(_SEARCH,), cmd=("bash",))


def busybox_tree() -> Tree:
    """Return the tree of a base image that is busybox under all its names, about 2 MB."""
    program = require_peer("busybox")
    if read_elf(program).interpreter is not None:
        raise AssertionError(f"{program} is not static: it is not from busybox-static")
    tree = Tree()
    tree.add_skeleton()
    tree.add_copy(program, "/usr/bin/busybox")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for applet in listed.split():
        if applet != "busybox":
            tree.add_symlink(f"usr/bin/{applet}", "busybox")
    return tree


def write_busybox(path: Path) -> None:
    """Write the tar of that image."""
    with path.open("wb") as file:
        busybox_tree().write(file.write)


# where this machine's own packages come from; without any, mmdebstrap's own idea of it
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


def debian_tar() -> Path:
    """Return the tar of a minimal Debian, made once with mmdebstrap and kept between runs."""
    return debootstrapped(f"debian-{SUITE}.tar")


def debootstrapped(name: str, *further: str) -> Path:
    """Return the tar of a Debian in the cache, made once with mmdebstrap and ``further`` options of it."""
    program = require_peer("mmdebstrap")
    return made_once(name, lambda path: _debootstrap(program, path, *further))


def arm64_debian_tar() -> Path:
    """Return the tar of a minimal Debian for arm64, made and kept likewise; its programs run in qemu meanwhile."""
    program, emulator = require_peer("mmdebstrap"), require_peer("qemu-aarch64-static")
    return made_once(
        f"debian-{SUITE}-arm64.tar", lambda path: in_child(lambda: _debootstrap_arm64(program, emulator, path))
    )


def _debootstrap_arm64(program: str, emulator: str, path: Path) -> None:
    """Make the tar where qemu is registered, which on this machine it need not be."""
    enter()
    start, mask = pattern(PROCESSORS["arm64"])
    handler = Handler("arm64", start.hex(), mask.hex(), os.path.realpath(emulator), keeps_argv0=True)
    namespace = Handlers().namespace([handler])

    def prepare() -> None:
        setns(namespace, CLONE_NEWUSER)
        unshare(CLONE_NEWNS)

    _debootstrap(program, path, "--architectures=arm64", "--mode=root", "--skip=check/qemu", prepare=prepare)


def _debootstrap(program: str, path: Path, *words: str, prepare: Callable[[], None] | None = None) -> None:
    """Make the tar as images on registries are: /dev is empty, and nothing is in it of the machine that made it."""
    options = ["--quiet", "--variant=minbase", "--skip=output/dev", "--format=tar"]
    hook = '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"'
    result = subprocess.run(
        [
            program,
            *options,
            *words,
            hook,
            SUITE,
            str(path),
            *[source for source in SOURCES if os.path.exists(source)][:1],
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
    )
    if result.returncode:
        path.unlink(missing_ok=True)
        raise AssertionError(f"mmdebstrap failed:\n{result.stderr[-3000:]}")
