"""A service from Debian's packages: built, built again, extended, changed in its order, and run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

REDIS = "RUN apt-get update && apt-get install -y redis-server"
PING = "redis-server --save '' > /tmp/log & until redis-cli ping 2>/dev/null; do sleep 0.1; done"


@pytest.fixture(scope="module")
def tagged(registry: str, debian_base: str, shared: Program) -> str:
    """Build the image and return its name."""
    name = f"{registry}/apps/redis:{shared.user.account.name}"
    built = shared.build(_context(shared, debian_base, REDIS), "-t", name)
    assert len(built.ran(REDIS)) == 1
    return name


def _context(program: Program, base: str, *steps: str) -> Path:
    text = "\n".join([f"FROM {base}", *steps, 'CMD ["redis-server"]', ""])
    return program.context("redis", {"Dockerfile": text})


def _further(program: Program) -> str:
    """Return a step that installs one more package: as root the whole compiler, otherwise something small."""
    return f"RUN apt-get install -y {'gcc' if program.user.account.uid == 0 else 'netcat-openbsd'}"


def test_build_again_is_all_cached(shared: Program, debian_base: str, tagged: str) -> None:
    again = shared.build(_context(shared, debian_base, REDIS))
    assert set(again.steps.values()) == {"CACHED"}
    assert len(again.steps) == 3


def test_step_added_after_is_the_only_one_that_runs(shared: Program, debian_base: str, tagged: str) -> None:
    further = _further(shared)
    extended = shared.build(_context(shared, debian_base, REDIS, further))
    assert extended.ran() == [f"[3/3] {further}"]
    assert extended.cached("redis-server") == [f"[2/3] {REDIS}"]


def test_steps_swapped_both_run(shared: Program, debian_base: str, tagged: str) -> None:
    further = "RUN apt-get update && apt-get install -y netcat-openbsd"
    swapped = shared.build(_context(shared, debian_base, further, REDIS))
    assert swapped.ran("RUN") == [f"[2/3] {further}", f"[3/3] {REDIS}"]


def test_service_answers(shared: Program, tagged: str) -> None:
    result = shared.run("run", "--rm", tagged, "sh", "-c", PING, timeout=60)
    assert result.stdout == "PONG\n"
    assert result.returncode == 0
