"""What goes wrong once while an image is pulled: the image comes all the same, and nothing twice."""

from __future__ import annotations

from collections import Counter
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

import pytest

from tests.faults.world import IMAGE, IMPATIENT
from tests.support import faults

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.support.faults import Act

PLACES: Final = {
    "auth GET token": "the token server",
    "registry HEAD tag 1": "the HEAD of the tag",
    "registry GET tag 1": "the index",
    "registry GET manifest": "the manifest",
    "registry GET config": "the registry at the config",
    "registry GET layer 0": "the registry at a layer",
    "cdn GET config": "the CDN at the config",
    "cdn GET layer 0": "the CDN at a layer",
}
ONCE: Final[dict[str, Act]] = {
    **{f"answers {code}": faults.status(code) for code in (408, 429, 500, 502, 503, 504)},
    "answers 429 and to come back at once": faults.status(429, Retry_After="0"),
    "answers 503 and a date that is past": faults.status(503, Retry_After=formatdate(0, usegmt=True)),
    "answers 503 with two megabytes about it": faults.status(503, b"x" * (2 << 20)),
    "hangs up": faults.hang_up(),
    "resets the connection": faults.reset,
    "hangs up in the headers": faults.cut_head,
    "is no web server for a moment": faults.GARBAGE,
}
IN_BODY: Final[dict[str, Act]] = {
    "hangs up before the body": faults.cut(0),
    "hangs up in the body": faults.cut(10),
}
SLOW: Final[dict[str, Act]] = {
    "does not answer": faults.stall,
    "sends ten bytes a second of its headers": faults.drip_head,
    "sends interim answers only": faults.informed_forever,
}
SLOW_BODY: Final[dict[str, Act]] = {
    "stalls in the body": faults.stall_body(10),
    "sends ten bytes a second of the body": faults.drip_body(10),
}
BODIES: Final = [place for place in PLACES if place.startswith(("auth", "cdn")) or place == "registry GET tag 1"]

# without a fault: each of these once
WHOLE: Final = Counter(
    ["auth GET token", "registry HEAD tag 1", "registry GET tag 1", "registry GET manifest"]
    + [f"{server} GET {part}" for server in ("registry", "cdn") for part in ("config", "layer 0", "layer 1")]
)


def table(acts: dict[str, Act], places: list[str]) -> list[object]:
    return [pytest.param(place, act, id=f"{PLACES[place]} {what}") for place in places for what, act in acts.items()]


def check(world: World, place: str, act: Act) -> None:
    """Pull with a fault at the first request of ``place``."""
    # of what is asked again after a 401, the authorised request is the one that fails
    world.hub.fail(place, act, skip=place == "registry HEAD tag 1")
    world.pull()
    world.check_has(IMAGE)
    world.check_secrets()
    again = [place, place.replace("cdn", "registry")] if place.startswith("cdn") else [place]
    assert world.hub.counts() == WHOLE + Counter(again)
    world.hub.forget()
    world.pull()
    assert world.hub.counts() == Counter(["auth GET token", "registry HEAD tag 1"])


@pytest.mark.parametrize(("place", "act"), table(ONCE, list(PLACES)))
def test_it_is_asked_again_where(world: World, place: str, act: Act) -> None:
    check(world, place, act)


@pytest.mark.parametrize(("place", "act"), table(IN_BODY, BODIES))
def test_it_is_asked_again_for_the_rest_where(world: World, place: str, act: Act) -> None:
    check(world, place, act)


@pytest.mark.parametrize(("place", "act"), table(SLOW, ["auth GET token", "registry HEAD tag 1", "cdn GET layer 0"]))
def test_it_is_not_waited_for_where(world: World, place: str, act: Act) -> None:
    world.policy = IMPATIENT
    check(world, place, act)


@pytest.mark.parametrize(("place", "act"), table(SLOW_BODY, BODIES))
def test_the_rest_is_not_waited_for_where(world: World, place: str, act: Act) -> None:
    world.policy = IMPATIENT
    check(world, place, act)


def test_no_fault_at_all(world: World) -> None:
    world.pull()
    world.check_has(IMAGE)
    assert world.hub.counts() == WHOLE
