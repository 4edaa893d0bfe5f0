"""The command line while registries fail: its status, one line that says why, no secret, and several of it at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.oci import Digest
from tests.faults.test_images_refused import GOOD, NO_DIGEST
from tests.faults.world import IMAGE, make_image
from tests.support import faults
from tests.support.hub import ALWAYS, BASIC, PASSWORD, REFRESH, USER
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.support.faults import Act
    from tests.support.hub import Exchange

_TEAPOT = b"HTTP/1.1 418 x\r\n\r\n"
_CHECKOUT = Path(__file__).parents[2]


def start(world: World, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start ocibuild on the world's store, logged in to its hub."""
    entry = {world.hub.address: {"username": USER, "password": PASSWORD}}
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(_CHECKOUT),
        "OCIBUILD_ROOT": str(world.snapshots.parent),
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": entry}),
    }
    command = [sys.executable, "-m", "ocibuild", *words]
    return subprocess.Popen(
        command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Wait for the end, and return the status and the lines that say what went wrong."""
    stdout, stderr = process.communicate(timeout=60)
    for secret in (PASSWORD, BASIC, REFRESH, "a-secret-token", "signature="):
        assert secret not in stdout + stderr
    assert "Traceback" not in stderr
    return process.returncode, [line for line in stderr.splitlines() if line.startswith("ocibuild")]


LAYER: Final = "cdn GET layer 0"
PULLS: Final[dict[str, tuple[str, Act, str]]] = {
    "there is no such tag": ("registry GET tag 1", faults.status(404), "not found"),
    "the registry is busy for an hour": (LAYER, faults.status(503, Retry_After="3600"), "503"),
    "the rate limit is reached": (
        "registry GET tag 1", faults.status(429, Retry_After="21600"), "rate limit",
    ),
    "a layer is another one": (LAYER, faults.flipped(1000), "digest"),
    "a layer is longer": (LAYER, faults.reply(b"x" * 2_000_000), "manifest says"),
    "the CDN redirects for ever": (LAYER, faults.redirect("http://{self}{path}"), "redirects"),
    "the registry redirects to a file": ("registry GET layer 0", faults.redirect("file:///etc/passwd"), "web address"),
    "the index is no JSON": ("registry GET tag 1", faults.reply(b"<html>\x1b[31m"), "not JSON"),
    "the password is wrong": ("auth GET token", faults.status(401), "refuses the credentials"),
    "the headers do not end": ("registry HEAD tag 1", faults.ENDLESS_HEADERS, "headers"),
    "the error page does not end": ("registry GET tag 1", faults.repeat(b"x" * 9999, first=_TEAPOT), "418"),
}  # fmt: skip


@pytest.mark.parametrize("what", PULLS)
def test_pull_fails_with_one_line_where(world: World, folder: Path, what: str) -> None:
    place, act, says = PULLS[what]
    world.hub.fail(place, act, times=ALWAYS, skip=place == "registry HEAD tag 1")
    status, lines = end(start(world, folder, "pull", str(world.reference)))
    assert (status, len(lines)) == (1, 1)
    assert str(world.reference) in lines[0]
    assert says in lines[0]
    if place == LAYER:
        assert Digest.of(IMAGE.layers[0]) in lines[0]
    world.check_has_not(IMAGE)
    world.check_secrets()
    world.hub.forget()
    world.pull()
    world.check_has(IMAGE)


def test_a_layer_with_another_diff_id_is_refused_by_pull_and_by_build(world: World, folder: Path) -> None:
    bad = make_image(("a", b"first\n"), ("b", b"second\n"), diff_ids=[NO_DIGEST, NO_DIGEST])
    reference = bad.publish(world.hub, "library/bad")
    (folder / "Dockerfile").write_text(f"FROM {reference}\nCOPY Dockerfile /\n")
    for words in (["pull", str(reference)], ["build", str(folder)]):
        status, lines = end(start(world, folder, *words))
        assert (status, len(lines)) == (1, 1)
        assert str(reference) in lines[0]
        assert NO_DIGEST in lines[0]
        assert os.listdir(world.snapshots) == []
        world.check_sound()


def test_push_fails_with_one_line(world: World, folder: Path) -> None:
    world.pull()
    world.hub.fail("registry PUT tag 2", faults.status(403, b'{"errors":[{"code":"DENIED","message":"read\\nonly"}]}'))
    target = f"{world.hub.address}/team/app:2"
    status, lines = end(start(world, folder, "push", str(world.reference), target))
    assert (status, len(lines)) == (1, 1)
    assert target in lines[0]
    assert "read only" in lines[0]
    assert world.hub.files.get("team/app/_tags/2") is None
    assert end(start(world, folder, "push", "-q", str(world.reference), target)) == (0, [])


def test_copy_fails_with_one_line(world: World, folder: Path) -> None:
    world.hub.fail(LAYER, faults.flipped(1000), times=ALWAYS)
    source, target = f"docker://{world.reference}", f"docker://{world.hub.address}/team/app:2"
    status, lines = end(start(world, folder, "copy", source, target))
    assert (status, len(lines)) == (1, 1)
    assert str(world.reference) in lines[0]
    assert Digest.of(IMAGE.layers[0]) in lines[0]
    assert world.hub.files.get("team/app/_tags/2") is None
    world.hub.forget()
    assert end(start(world, folder, "copy", "-q", source, target)) == (0, [])
    assert world.hub.files.get("team/app/_tags/2") == IMAGE.digest.encode()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
@pytest.mark.parametrize("place", ["auth GET token", "registry HEAD tag 1", LAYER])
def test_a_signal_ends_a_pull_that_waits(world: World, folder: Path, place: str, number: int, status: int) -> None:
    world.hub.fail(place, faults.stall_body(1000) if place == LAYER else faults.stall)
    process = start(world, folder, "pull", str(world.reference))
    wait_until(lambda: bool(world.hub.of(place)))
    process.send_signal(number)
    assert end(process)[0] == status
    world.check_has_not(IMAGE)
    world.pull()
    world.check_has(IMAGE)


def test_a_signal_ends_a_pull_that_waits_for_another_one(world: World, folder: Path) -> None:
    world.hub.fail(LAYER, faults.stall_body(1000))
    first = start(world, folder, "pull", str(world.reference))
    wait_until(lambda: bool(world.hub.of(LAYER)))
    second = start(world, folder, "pull", str(world.reference))
    wait_until(lambda: len(world.hub.of("registry HEAD tag 1")) == 4)
    time.sleep(0.2)  # until it waits
    second.send_signal(signal.SIGINT)
    assert end(second)[0] == 130
    first.send_signal(signal.SIGINT)
    assert end(first)[0] == 130


# -- several at once


def slowly(exchange: Exchange) -> None:
    """Send a good answer, but not at once."""
    head, body = exchange.answer()
    exchange.send(head, body[:10])
    exchange.wait(0.7)
    exchange.send(body[10:])


def test_four_processes_fetch_each_blob_once(world: World, folder: Path) -> None:
    for place in ("cdn GET config", LAYER):
        world.hub.fail(place, slowly)
    processes = [start(world, folder, "pull", "-q", str(world.reference)) for _ in range(4)]
    assert [end(process) for process in processes] == [(0, [])] * 4
    counts = world.hub.counts()
    assert {label: count for label, count in counts.items() if label.startswith("cdn")} == {
        "cdn GET config": 1, LAYER: 1, "cdn GET layer 1": 1,
    }  # fmt: skip
    world.check_sound()


def test_two_builds_at_once_fetch_their_base_once(world: World, folder: Path) -> None:
    world.hub.fail(LAYER, slowly)
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text(f"FROM {world.reference}\nCOPY file /\n")
        (folder / name / "file").write_text(name)
    processes = [start(world, folder, "build", "-q", "-t", name, str(folder / name)) for name in ("one", "two")]
    assert [end(process) for process in processes] == [(0, [])] * 2
    assert all(count == 1 for label, count in world.hub.counts().items() if label.startswith("cdn"))


def test_what_a_killed_puller_left_is_in_nobodys_way(world: World, folder: Path) -> None:
    world.hub.fail(LAYER, faults.stall_body(600_000))
    process = start(world, folder, "pull", "-q", str(world.reference))
    ingest = world.snapshots.parent / "ingest"
    wait_until(lambda: any(path.stat().st_size == 600_000 for path in ingest.iterdir()))
    waiting = start(world, folder, "pull", "-q", str(world.reference))
    wait_until(lambda: len(world.hub.of("registry HEAD tag 1")) > 2)
    process.kill()
    process.communicate()
    assert end(waiting) == (0, [])
    assert len(world.hub.of(LAYER)) == 2
    GOOD.publish(world.hub, "library/good")
    assert end(start(world, folder, "pull", "-q", f"{world.hub.address}/library/good:1")) == (0, [])
    world.check_sound()
