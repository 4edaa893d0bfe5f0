"""Pushes to a registry that fails: what it has is not sent again, tags come last, and one clear error."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.errors import RegistryError
from ocibuild.oci import Digest, Reference
from ocibuild.registry.blobs import upload
from ocibuild.transfer import push
from tests.faults.world import IMAGE, IMPATIENT, NOISE, PATIENT, check_secrets, make_image
from tests.support import faults
from tests.support.hub import ALWAYS, Hub, serve_hub
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.world import World
    from tests.support.faults import Act
    from tests.support.hub import Exchange

PARTS: Final = ("config", "layer 0", "layer 1")
WHOLE: Final = Counter(
    {f"registry HEAD {part}": 1 for part in PARTS}
    | {"registry POST uploads": 3, "registry PUT upload": 3, "registry PUT tag 1": 1, "auth GET token": 1}
)
SIZE: Final = sum(len(blob) for blob in (*IMAGE.layers, IMAGE.config))


@pytest.fixture
def target() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.names.update(IMAGE.names)
        yield hub


@pytest.fixture
def ready(world: World, target: Hub) -> World:
    """A world whose store has the image, and who may push it to ``target``."""
    world.pull()
    world.further_hosts = (target.address,)
    return world


def give(world: World, target: Hub, name: str = "team/app", tag: str = "1", *, chunk_size: int | None = None) -> None:
    tagged = world.store.tags.get(world.reference)
    assert tagged is not None
    reference = Reference.parse(f"{target.address}/{name}:{tag}")
    with world.client(chunk_size=chunk_size) as registry:
        push(registry, world.store, tagged, [reference], progress=lambda *_: None)


def check_there(target: Hub, name: str = "team/app", tag: str = "1") -> None:
    """Check that the registry has all of the image under its tag."""
    assert target.files.get(f"{name}/_tags/{tag}") == str(IMAGE.digest).encode()
    for blob in (*IMAGE.layers, IMAGE.config):
        assert target.files.get(f"{name}/_blobs/{Digest.of(blob)}") == blob
    check_secrets(target)


def sent(target: Hub) -> int:
    """Return how many bytes of blobs came."""
    return sum(one.received for one in target.asked if "/blobs/uploads/" in one.path)


PLACES: Final = {
    # the place, and what follows where nothing of it was done: which requests come once more
    "auth GET token": ("the token server", []),
    "registry HEAD layer 0": ("the question for a layer", []),
    "registry POST uploads": ("the beginning of an upload", []),
    "registry PUT upload": ("an upload", ["registry GET upload", "registry POST uploads"]),
    "registry PUT tag 1": ("the manifest", []),
}
ONCE: Final[dict[str, Act]] = {
    **{f"answers {code}": faults.status(code) for code in (408, 429, 500, 502, 503, 504)},
    "answers 429 and to come back at once": faults.status(429, Retry_After="0"),
    "hangs up": faults.hang_up(),
    "resets the connection": faults.reset,
    "hangs up in the headers": faults.say(b"HTTP/1.1 201 Created\r\nDocker-"),
    "is no web server for a moment": faults.GARBAGE,
}
ALIKE: Final = {f"answers {code}" for code in (408, 500, 502, 504)}


@pytest.mark.parametrize(
    ("place", "act"),
    [
        pytest.param(place, act, id=f"{PLACES[place][0]} {what}")
        for place in PLACES
        for what, act in ONCE.items()
        if "upload" in place or what not in ALIKE
    ],
)
def test_it_arrives_all_the_same_where(ready: World, target: Hub, place: str, act: Act) -> None:
    target.fail(place, act, skip=place == "registry HEAD layer 0")
    give(ready, target)
    check_there(target)
    again = Counter([place, *PLACES[place][1]])
    assert without_questions(target.counts()) == without_questions(WHOLE + again)
    target.forget()
    give(ready, target)
    assert target.counts() == WHOLE - Counter({"registry POST uploads": 3, "registry PUT upload": 3})


def without_questions(counts: Counter[str]) -> Counter[str]:
    """Leave out HEAD: those of several threads meet the first 401 or do not."""
    return Counter({label: count for label, count in counts.items() if " HEAD " not in label})


LOST: Final = {
    # an answer that was lost after all was done, and what comes once more
    "the token": ("auth GET token", ["auth GET token"]),
    "the beginning of an upload": ("registry POST uploads", ["registry POST uploads"]),
    "the end of an upload": ("registry PUT upload", ["registry GET upload"]),
    "the manifest": ("registry PUT tag 1", ["registry PUT tag 1"]),
}


@pytest.mark.parametrize("what", LOST)
def test_no_blob_is_sent_twice_where_an_answer_is_lost(ready: World, target: Hub, what: str) -> None:
    place, again = LOST[what]
    target.fail(place, faults.lose_answer)
    give(ready, target)
    check_there(target)
    assert without_questions(target.counts()) == without_questions(WHOLE + Counter(again))
    assert sent(target) == SIZE


FOR_GOOD: Final[dict[str, tuple[Act, int]]] = {
    "always answers 500": (faults.status(500), 4),
    "always answers 429": (faults.status(429), 4),
    "answers 503 and to come back in an hour": (faults.status(503, Retry_After="3600"), 1),
    "answers 418": (faults.status(418), 1),
    "answers 403": (faults.status(403, b'{"errors":[{"code":"DENIED","message":"read only"}]}'), 1),
    "always hangs up": (faults.hang_up(), 4),
    "is no web server": (faults.GARBAGE, 4),
    "sends headers without end": (faults.ENDLESS_HEADERS, 1),
    "sends a body without end": (faults.repeat(b"x" * (1 << 18), first=b"HTTP/1.1 418 No\r\n\r\n"), 1),
    "redirects to itself": (faults.redirect("http://{self}{path}"), 11),
    "redirects to a file": (faults.redirect("file:///etc/passwd"), 1),
}


@pytest.mark.parametrize(
    ("place", "what"),
    [
        pytest.param(place, what, id=f"{PLACES[place][0]} {what}")
        for place in PLACES
        for what in FOR_GOOD
        if place != "registry HEAD layer 0"  # whatever it answers, an upload is tried
    ],
)
def test_it_is_an_error_where(ready: World, target: Hub, place: str, what: str) -> None:
    act, most = FOR_GOOD[what]
    check_refused(ready, target, place, act, most)


SLOW: Final[dict[str, Act]] = {
    "never answers": faults.stall,
    "sends ten bytes a second": faults.drip_head,
}


@pytest.mark.parametrize(
    ("place", "act"),
    [
        pytest.param(place, act, id=f"{PLACES[place][0]} {what}")
        for place in ("registry POST uploads", "registry PUT tag 1")
        for what, act in SLOW.items()
    ],
)
def test_it_is_given_up_where(ready: World, target: Hub, place: str, act: Act) -> None:
    policy, ready.policy = ready.policy, IMPATIENT
    check_refused(ready, target, place, act, IMPATIENT.attempts)
    ready.policy = policy


def check_refused(world: World, target: Hub, place: str, act: Act, most: int) -> None:
    target.fail(place, act, times=ALWAYS)
    with pytest.raises(RegistryError) as raised:
        give(world, target)
    message = str(raised.value)
    assert f"{target.address}/team/app:1" in message
    assert "\n" not in message
    if "upload" in place:
        assert any(digest in message for digest in IMAGE.names)
    assert target.files.get("team/app/_tags/1") is None
    blobs = 1 if "tag" in place else 3  # which are all on their way at once
    assert len([one for one in target.of(place) if one.status != 401]) <= most * blobs
    check_secrets(target)
    target.forget()
    give(world, target)
    check_there(target)
    world.check_sound()


# -- blobs that go as a stream


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "STREAMED", 500_000)


LARGE: Final = len(IMAGE.layers[0])
STREAMS: Final[dict[str, tuple[list[tuple[str, Act]], list[str | None]]]] = {
    # the faults, and the ranges that are sent
    "is cut": ([("registry PATCH upload", faults.take(400_000))], [None, f"400000-{LARGE - 1}"]),
    "is cut twice": (
        [("registry PATCH upload", faults.take(400_000)), ("registry PATCH upload", faults.take(300_000))],
        [None, f"400000-{LARGE - 1}", f"700000-{LARGE - 1}"],
    ),
    "is cut, and where it stands is not known at once": (
        [("registry PATCH upload", faults.take(400_000)), ("registry GET upload", faults.status(503))],
        [None, f"400000-{LARGE - 1}"],
    ),
    "arrives, and the answer does not": ([("registry PATCH upload", faults.lose_answer)], [None]),
    "ends, and the answer does not arrive": ([("registry PUT upload", faults.lose_answer)], [None]),
    "ends with 503": ([("registry PUT upload", faults.status(503))], [None]),
    "is cut, and its session is lost": (
        [("registry PATCH upload", faults.take(400_000)), ("registry GET upload", faults.status(404))], [None, None],
    ),
    "meets a session that is lost": ([("registry PATCH upload", faults.status(404))], [None, None]),
}  # fmt: skip


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("what", STREAMS)
def test_a_stream_is_taken_up_where_it(ready: World, target: Hub, what: str) -> None:
    scripted, ranges = STREAMS[what]
    only_layer(ready, target)
    for place, act in scripted:
        target.fail(place, act)
    give(ready, target)
    check_there(target)
    patches = target.of("registry PATCH upload")
    assert [one.headers.get("Content-Range") for one in patches] == ranges
    if len(ranges) == len([one for one in ranges if one]) + 1:
        assert sum(one.received for one in patches) == LARGE, "each byte once"


def only_layer(world: World, target: Hub) -> None:
    """Let the other blobs be there, so that faults are for the large one."""
    for blob in (IMAGE.layers[1], IMAGE.config):
        target.files.put(f"team/app/_blobs/{Digest.of(blob)}", blob)


@pytest.mark.usefixtures("streamed")
def test_a_token_may_end_during_an_upload(ready: World, target: Hub) -> None:
    only_layer(ready, target)

    def cut_and_revoke(exchange: Exchange) -> None:
        wait_until(lambda: len([one for one in target.asked if one.status == 200 and "HEAD" in one.label]) == 2)
        faults.take(400_000)(exchange)
        exchange.hub.revoke_tokens()

    target.fail("registry PATCH upload", cut_and_revoke)
    give(ready, target)
    check_there(target)
    assert sum(one.received for one in target.of("registry PATCH upload")) == LARGE


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (faults.headed(Range="0-99999999"), "counts 100000000 bytes"),
        (faults.headed(Location=""), "without a Location"),
        (faults.headed(Location="ftp://127.0.0.1/x"), "not a web address"),
    ],
    ids=["a place behind the end", "no location", "a location that is no web address"],
)
@pytest.mark.usefixtures("streamed")
def test_nonsense_about_an_upload_is_an_error(ready: World, target: Hub, act: Act, says: str) -> None:
    only_layer(ready, target)
    target.fail("registry PATCH upload", act)
    with pytest.raises(RegistryError, match=f"upload of {Digest.of(IMAGE.layers[0])}.*{says}"):
        give(ready, target)
    assert target.files.get("team/app/_tags/1") is None
    target.forget()
    give(ready, target)
    check_there(target)


def test_chunks_are_taken_up_where_they_broke(ready: World, target: Hub) -> None:
    only_layer(ready, target)
    target.fail("registry PATCH upload", faults.take(100_000), skip=1)
    give(ready, target, chunk_size=500_000)
    check_there(target)
    assert sum(one.received for one in target.of("registry PATCH upload")) == LARGE
    starts = [one.headers["Content-Range"].partition("-")[0] for one in target.of("registry PATCH upload")]
    assert starts == ["0", "500000", "600000", "1100000"]


# -- mounts


MOUNTS: Final[dict[str, tuple[Act | None, int]]] = {
    # what the registry answers to the first POST, and how many POSTs there are for a blob
    "is taken from the other repository": (None, 1),
    "is sent where that is refused with 404": (faults.status(404), 2),
    "is sent where that is refused with 405": (faults.status(405), 2),
    "is sent where that is refused with 403": (faults.status(403), 2),
    "is sent where the other repository has lost it": (None, 1),
    "is sent where the token server gives no token for both": (None, 1),
    "is asked for again where the registry is busy": (faults.status(503), 2),
    "is asked for again where the connection breaks": (faults.hang_up(), 2),
}


@pytest.mark.parametrize("what", MOUNTS)
def test_a_blob_that_another_repository_has(world: World, what: str) -> None:
    act, posts = MOUNTS[what]
    world.pull()  # so the store knows that library/app has it
    hub = world.hub
    hub.forget()
    if act:
        hub.fail("registry POST uploads", act)
    if "lost" in what:
        for blob in (*IMAGE.layers, IMAGE.config):
            hub.files._files.pop(f"library/app/_blobs/{Digest.of(blob)}")
    hub.gives_other_scopes = "no token" not in what
    give(world, hub)
    check_there(hub)
    counts = hub.counts()
    assert counts["registry POST uploads"] == 3 + (posts - 1)
    is_sent = "is sent" in what
    assert (sent(hub) > 0) == is_sent
    if "lost" in what or "no token" in what:
        assert sent(hub) == SIZE


def test_several_tags_cost_as_much_as_one(ready: World, target: Hub) -> None:
    tagged = ready.store.tags.get(ready.reference)
    assert tagged is not None
    names = [Reference.parse(f"{target.address}/team/app:{tag}") for tag in "123"]
    with ready.client() as registry:
        push(registry, ready.store, tagged, names, progress=lambda *_: None)
    for tag in "123":
        check_there(target, tag=tag)
    assert sent(target) == SIZE
    more = Counter(["registry PUT tag 2", "registry PUT tag 3"])
    assert without_questions(target.counts()) == without_questions(WHOLE + more)


def test_a_password_does_not_follow_an_upload_to_another_host(ready: World, target: Hub) -> None:
    with serve_hub() as storage:
        target.fail(
            "registry POST uploads", faults.status(202, Location=f"http://{storage.cdn.address}/put?signature=x")
        )
        give(ready, target)
        assert [one.label for one in storage.asked] == ["cdn PUT put", "cdn GET put"]
        check_secrets(storage)
    check_there(target)


def test_a_registry_that_takes_its_time_is_given_it(world: World, target: Hub) -> None:
    image = make_image(("noise", NOISE * 8), compress=False)
    world.reference = image.publish(world.hub, "library/large")
    world.pull()
    world.further_hosts = (target.address,)
    world.policy = replace(PATIENT, connect_timeout=0.2)
    target.fail("registry PUT upload", faults.sip, times=ALWAYS)
    give(world, target)
    assert sent(target) == len(image.layers[0]) + len(image.config)


def test_threads_that_wait_for_one_token_fail_together(ready: World, target: Hub) -> None:
    ready.policy = replace(IMPATIENT, attempts=3)
    target.fail("auth GET token", faults.stall, times=ALWAYS)
    with pytest.raises(RegistryError, match="does not answer in time"):
        give(ready, target)
    assert target.counts()["auth GET token"] == 3
