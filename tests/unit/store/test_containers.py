from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import StoreError
from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.store import Store

IMAGE = Digest.of(b"image")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_who_runs_a_container_gets_its_signal(store: Store) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
    try:
        with store.containers.begin("web", IMAGE, "app", [], {}) as running:
            store.containers.signal(running.container, signal.SIGUSR1)
            assert received == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_process_that_only_has_the_number_gets_no_signal(store: Store, sleeper: subprocess.Popen[bytes]) -> None:
    with store.containers.begin("web", IMAGE, "app", [], {}) as running:
        elsewhere = replace(running.container, runner=sleeper.pid)
        with pytest.raises(StoreError, match="web: the process that runs it is not seen from here"):
            store.containers.signal(elsewhere, signal.SIGKILL)
    assert sleeper.poll() is None
    os.kill(sleeper.pid, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM


def test_one_that_has_ended_gets_no_signal(store: Store, sleeper: subprocess.Popen[bytes]) -> None:
    with store.containers.begin("web", IMAGE, "app", [], {}) as running:
        running.end(0)
        ended = store.containers.find("web")
    store.containers.signal(replace(ended, runner=sleeper.pid), signal.SIGKILL)
    assert sleeper.poll() is None
