"""Other processes that use the same store."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROLOGUE = """
import os, sys, time
from ocibuild.oci import *
from ocibuild.store import *
store = Store.open(sys.argv[1])
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def start(root: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Run ``program`` in a process of its own, with ``store`` open at ``root``."""
    command = [sys.executable, "-c", _PROLOGUE + program, root, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def until_ready(root: str, program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``program`` until it calls ``ready()``, where it waits; kill it (SIGKILL) when the block is left."""
    with start(root, program, *arguments) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill_when_ready(root: str, program: str, *arguments: str) -> None:
    """Run ``program`` until it calls ``ready()``, then kill it."""
    with until_ready(root, program, *arguments):
        pass
