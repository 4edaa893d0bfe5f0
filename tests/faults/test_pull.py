"""Pulls in a world that is not quite as expected: what is asked for, of whom, and who is shown what."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections import Counter
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.errors import NotFound, RegistryError, Unauthorized
from ocibuild.oci import Digest, Reference
from ocibuild.registry import Credentials, RegistryConfig
from ocibuild.registry.configuration.config import HostConfig
from tests.faults.test_pull_retried import WHOLE
from tests.faults.world import IMAGE, IMPATIENT, NOISE, PATIENT, check_secrets, hub_with, make_image
from tests.support import faults
from tests.support.hub import ALWAYS, REFRESH, Hub, serve_hub
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.world import World
    from tests.support.faults import Act
    from tests.support.hub import Exchange

LAYER: Final = "cdn GET layer 0"


def ranges(hub: Hub) -> list[str | None]:
    return [one.headers.get("Range") for one in hub.of(LAYER)]


def chunked(exchange: Exchange) -> None:
    """Send the whole body with chunked transfer coding, and hang up before its end."""
    _, body = exchange.answer()
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body), body, b"\r\n")
    exchange.hang_up()


CUTS: Final[dict[str, tuple[tuple[Act, ...], list[str | None]]]] = {
    "is cut once": ((faults.cut(600_000),), [None, "bytes=600000-"]),
    "is cut twice": ((faults.cut(300_000), faults.cut(500_000)), [None, "bytes=300000-", "bytes=800000-"]),
    "is cut before its last byte": (
        (faults.cut(len(IMAGE.layers[0]) - 1),), [None, f"bytes={len(IMAGE.layers[0]) - 1}-"],
    ),
    "is cut, and the server does not know ranges": (
        (faults.cut(600_000), faults.without_range), [None, "bytes=600000-"],
    ),
    "is cut, and the server is busy then": (
        (faults.cut(600_000), faults.status(503)), [None, "bytes=600000-", "bytes=600000-"],
    ),
    "is cut behind its last byte": ((chunked,), [None]),
}  # fmt: skip


@pytest.mark.parametrize("what", CUTS)
def test_no_byte_comes_twice_where_a_layer(world: World, what: str) -> None:
    acts, expected = CUTS[what]
    for act in acts:
        world.hub.fail(LAYER, act)
    world.pull()
    world.check_has(IMAGE)
    world.check_secrets()
    assert ranges(world.hub) == expected
    assert world.hub.counts()["registry GET layer 0"] == len(expected), "each with a signature of its own"


def test_a_layer_that_stalls_is_taken_up_where_it_stood(world: World) -> None:
    world.policy = IMPATIENT
    world.hub.fail(LAYER, faults.stall_body(700_000))
    world.pull()
    world.check_has(IMAGE)
    assert ranges(world.hub) == [None, "bytes=700000-"]


def test_cuts_with_progress_between_them_do_not_add_up(world: World) -> None:
    image = make_image(("noise", NOISE * 8), compress=False)
    reference = image.publish(world.hub, "library/large")
    world.hub.fail(LAYER, faults.cut(1_200_000), times=7)
    world.pull(reference)
    world.check_has(image, reference)
    assert ranges(world.hub) == [None, *(f"bytes={number * 1_200_000}-" for number in range(1, 8))]


@pytest.mark.parametrize(
    "lines",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"],
    ids=["100", "103"],
)
@pytest.mark.parametrize("place", ["auth GET token", "registry HEAD tag 1", "registry GET tag 1", LAYER])
def test_interim_answers_are_passed_over(world: World, lines: bytes, place: str) -> None:
    world.hub.fail(place, faults.informed(lines, 3), skip=place == "registry HEAD tag 1")
    world.pull()
    world.check_has(IMAGE)
    assert world.hub.counts() == WHOLE


@pytest.mark.parametrize(
    ("place", "form"),
    [
        ("auth GET token", "seconds"),
        ("registry HEAD tag 1", "seconds"),
        ("registry GET manifest", "date"),
        (LAYER, "seconds"),
    ],
)
def test_the_pause_that_is_asked_for_is_kept(world: World, place: str, form: str) -> None:
    said = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    world.hub.fail(place, faults.status(429, Retry_After=said), skip=place == "registry HEAD tag 1")
    begun = time.monotonic()
    world.pull()
    assert time.monotonic() - begun >= 0.9
    world.check_has(IMAGE)


# -- tokens


def test_a_token_that_ends_before_its_time_is_renewed(world: World) -> None:
    def revoke(exchange: Exchange) -> None:
        exchange.hub.revoke_tokens()
        exchange.send(*exchange.answer())

    world.hub.fail("cdn GET config", revoke)
    world.pull()
    world.check_has(IMAGE)
    world.check_secrets()
    assert world.hub.counts() == WHOLE + Counter(["auth GET token"])


def test_a_token_that_ends_while_a_cut_layer_is_taken_up_is_renewed(world: World) -> None:
    def revoke_and_cut(exchange: Exchange) -> None:
        exchange.hub.revoke_tokens()
        faults.cut(600_000)(exchange)

    world.hub.fail(LAYER, revoke_and_cut)
    world.pull()
    world.check_has(IMAGE)
    assert ranges(world.hub) == [None, "bytes=600000-"]


def test_tokens_that_are_never_good_are_not_asked_for_without_end(world: World) -> None:
    world.hub.token_seconds = -1
    with pytest.raises(Unauthorized, match=str(world.reference)):
        world.pull()
    world.check_has_not(IMAGE)
    assert len(world.hub.of("auth GET token")) <= 2
    world.hub.token_seconds = 300
    world.pull()
    world.check_has(IMAGE)


def test_a_refresh_token_goes_to_the_token_server_alone(world: World) -> None:
    world.credentials = Credentials.load(
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{world.hub.address}": {{"identitytoken": "{REFRESH}"}}}}}}'}
    )
    world.reference = IMAGE.publish(world.hub, "private/app")
    world.pull()
    world.check_has(IMAGE)
    world.check_secrets()
    assert world.hub.counts()["auth POST token"] == 1
    assert world.hub.counts()["auth GET token"] == 0


@pytest.mark.parametrize("logged_in", [True, False])
def test_what_is_private_needs_a_login(world: World, logged_in: bool) -> None:
    world.logged_in = logged_in
    world.reference = IMAGE.publish(world.hub, "private/app")
    if logged_in:
        world.pull()
        world.check_has(IMAGE)
        return
    with pytest.raises(Unauthorized, match="private/app"):
        world.pull()
    world.check_has_not(IMAGE)


@pytest.mark.parametrize("realm", ["http://token.example/token", "ftp://127.0.0.1/token", "/token", "http://[::1"])
def test_no_password_goes_to_a_token_server_without_tls(world: World, realm: str) -> None:
    world.hub.realm = realm
    with pytest.raises(RegistryError, match=str(world.reference)):
        world.pull()
    world.check_has_not(IMAGE)
    assert world.hub.of("auth GET token") == []
    world.hub.realm = ""
    world.pull()
    world.check_has(IMAGE)


def test_a_registry_behind_tls_may_not_have_the_password_sent_in_clear(world: World, folder: Path) -> None:
    subject = ["-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = [require_peer("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*command, "-nodes", "-days", "2", *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with serve_hub(tls=context) as hub:
        reference = IMAGE.publish(hub)
        world.config = RegistryConfig({hub.address: HostConfig(ca=(str(folder / "cert.pem"),))})
        world.further_hosts = (hub.address,)
        with pytest.raises(RegistryError, match=f"{reference}.*token server is not HTTPS"):
            world.pull(reference)
        assert [one.label for one in hub.asked] == ["registry HEAD tag 1"]
    world.check_has_not(IMAGE)


def test_a_token_server_that_sends_us_on_does_not_send_the_password_on(world: World) -> None:
    world.hub.fail("auth GET token", faults.redirect("http://{cdn}/token"))
    with pytest.raises(RegistryError):
        world.pull()
    world.check_secrets()
    assert [one.headers.get("Authorization") for one in world.hub.asked if one.label.startswith("cdn")] == [None]


# -- redirects


@pytest.mark.parametrize("way", ["{cdn}", "{auth}", "localhost:{port}"])
def test_what_was_shown_to_the_registry_goes_no_further(world: World, way: str) -> None:
    """Not along a second redirect either, and not when that leads back to the registry."""
    port = world.hub.address.partition(":")[2]
    blob = f"/v2/library/app/blobs/{Digest.of(IMAGE.layers[0])}"
    world.hub.fail("registry GET layer 0", faults.redirect(f"http://{way.replace('{port}', port)}/step"), times=ALWAYS)
    for server in ("cdn", "auth", "registry"):
        world.hub.fail(f"{server} GET step", faults.redirect(f"http://{{cdn}}/{blob[4:]}?signature=x"))
    world.pull()
    world.check_has(IMAGE)
    world.check_secrets()
    assert all("Authorization" not in one.headers for one in world.hub.asked if one.path == "/step")


def test_a_challenge_of_the_cdn_gets_no_password(world: World) -> None:
    with serve_hub() as evil:
        challenge = f'Bearer realm="http://{evil.auth.address}/token",service="evil"'
        world.hub.fail(LAYER, faults.status(401, WWW_Authenticate=challenge))
        with pytest.raises(Unauthorized, match=str(Digest.of(IMAGE.layers[0]))):
            world.pull()
        assert evil.asked == []
    world.check_secrets()
    world.check_has_not(IMAGE)


# -- HEAD, and tags that move


def test_a_registry_without_head_is_enough(world: World) -> None:
    world.hub.has_head = False
    world.pull()
    world.check_has(IMAGE)
    assert world.hub.counts() == WHOLE


@pytest.mark.parametrize(
    "act",
    [
        faults.headed(Docker_Content_Digest=""),
        faults.headed(Content_Type="text/html"),
        faults.headed(Docker_Content_Digest=f"sha256:{'0' * 64}"),
        faults.headed(Content_Length="5"),
        faults.status(404),
        faults.status(400),
    ],
    ids=["no digest", "no type", "another digest", "another length", "404", "400"],
)
def test_what_a_head_says_wrongly_does_not_count(world: World, act: Act) -> None:
    world.hub.fail("registry HEAD tag 1", act, skip=1)
    world.pull()
    world.check_has(IMAGE)
    assert world.hub.counts() == WHOLE


def test_a_tag_may_move_between_head_and_get(world: World) -> None:
    other = make_image(("noise", NOISE), ("large", b"large\n"))
    assert len(other.index) == len(IMAGE.index)

    def move(exchange: Exchange) -> None:
        head, body = exchange.answer()
        other.publish(exchange.hub)
        exchange.send(head, body)

    world.hub.fail("registry HEAD tag 1", move, skip=1)
    world.pull()
    world.check_has(other)


# -- one blob once


def test_two_pulls_in_one_process_fetch_each_blob_once(world: World) -> None:
    threads = [threading.Thread(target=world.pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.check_has(IMAGE)
    counts = world.hub.counts()
    assert all(counts[f"cdn GET layer {place}"] == 1 for place in (0, 1))


def test_a_layer_that_is_there_twice_comes_once(world: World) -> None:
    image = make_image(("a", b"same\n"), ("a", b"same\n"))
    reference = image.publish(world.hub, "library/twice")
    world.pull(reference)
    world.check_has(image, reference)
    assert max(world.hub.counts().values()) == 1


def test_a_second_image_brings_only_what_is_new(world: World) -> None:
    world.pull()
    world.hub.forget()
    other = make_image(("noise", NOISE), ("more", b"more\n"))
    reference = other.publish(world.hub, tag="2")
    world.pull(reference)
    world.check_has(other, reference)
    assert world.hub.counts()[LAYER] == 0
    assert world.hub.counts()["cdn GET layer 1"] == 1


# -- mirrors


MIRROR_FAULTS: Final[dict[str, tuple[str, Act]]] = {
    "has no such tag": ("registry GET tag 1", faults.status(404)),
    "answers 500 to the tag": ("registry GET tag 1", faults.status(500)),
    "refuses its token": ("auth GET token", faults.status(401)),
    "has another manifest": ("registry GET manifest", faults.reply(b"{}")),
    "has an index that is no JSON": ("registry GET tag 1", faults.reply(b"<html>")),
    "has no such layer": ("registry GET layer 0", faults.status(404)),
    "has a layer cut short": (LAYER, faults.cut(600_000)),
    "has a layer of other bytes": (LAYER, faults.flipped(1000)),
    "has a layer of another size": (LAYER, faults.reply(b"short")),
    "has a config of other bytes": ("cdn GET config", faults.flipped(3)),
    "redirects for ever": (LAYER, faults.redirect("http://{self}{path}")),
    "hangs up": ("registry HEAD tag 1", faults.hang_up()),
    "never answers": ("registry HEAD tag 1", faults.stall),
    "stalls in a layer": (LAYER, faults.stall_body(600_000)),
}


@pytest.mark.parametrize("what", MIRROR_FAULTS)
def test_the_origin_is_asked_where_a_mirror(world: World, what: str) -> None:
    world.policy = replace(IMPATIENT, read_timeout=1.5) if "stall" in what or "never" in what else PATIENT
    place, act = MIRROR_FAULTS[what]
    with hub_with() as (mirror, _):
        world.config = RegistryConfig({world.hub.address: HostConfig(mirrors=(mirror.address,))})
        mirror.fail(place, act, times=ALWAYS)
        world.pull()
        world.check_has(IMAGE)
        world.check_secrets()
        check_secrets(mirror)
        assert all(count == 1 for label, count in world.hub.counts().items() if "token" not in label)
        if "600000" in str(ranges(world.hub)):
            assert ranges(world.hub) == ["bytes=600000-"]
        assert not any("Basic" in one.headers.get("Authorization", "") for one in mirror.asked)


def test_a_mirror_that_is_good_is_enough(world: World) -> None:
    with hub_with() as (mirror, _):
        world.config = RegistryConfig({world.hub.address: HostConfig(mirrors=("127.0.0.1:1", mirror.address))})
        world.pull()
        assert mirror.counts() == WHOLE
    world.check_has(IMAGE)
    assert world.hub.asked == []


def test_docker_hub_is_reached_by_its_mirror(world: World) -> None:
    world.config = RegistryConfig({"docker.io": HostConfig(mirrors=(world.hub.address,))})
    reference = Reference.parse("app:1")
    world.pull(reference)
    world.check_has(IMAGE, reference)
    assert world.hub.counts() == WHOLE


def test_what_neither_has_is_the_origins_error(world: World) -> None:
    with serve_hub() as mirror:
        world.config = RegistryConfig({world.hub.address: HostConfig(mirrors=(mirror.address,))})
        with pytest.raises(NotFound, match="library/none:1"):
            world.pull(Reference.parse(f"{world.hub.address}/library/none:1"))
    world.pull()
    world.check_has(IMAGE)
