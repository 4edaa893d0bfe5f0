"""What goes wrong for good while an image is pulled: one clear error, nothing is left, and the store goes on."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.errors import (
    DigestMismatch,
    InvalidDocument,
    NotFound,
    OcibuildError,
    RegistryError,
    Unauthorized,
    UnsupportedMediaType,
)
from tests.faults.world import IMAGE, IMPATIENT, PATIENT
from tests.support import faults
from tests.support.hub import ALWAYS

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.support.faults import Act

# label: what it is, and whether the error has a digest to name
PLACES: Final = {
    "auth GET token": ("the token server", None),
    "registry GET tag 1": ("the index", None),
    "registry GET manifest": ("the manifest", "manifest"),
    "registry GET config": ("the registry at the config", "config"),
    "registry GET layer 0": ("the registry at a layer", "layer 0"),
    "cdn GET config": ("the CDN at the config", "config"),
    "cdn GET layer 0": ("the CDN at a layer", "layer 0"),
}
EVERYWHERE: Final[dict[str, tuple[Act, type[OcibuildError], int]]] = {
    # the fault, the error, and how often it may be asked for
    "always answers 500": (faults.status(500), RegistryError, PATIENT.attempts),
    "always answers 429": (faults.status(429), RegistryError, PATIENT.attempts),
    "answers 503 and to come back in an hour": (faults.status(503, Retry_After="3600"), RegistryError, 1),
    "answers 418": (faults.status(418), RegistryError, 1),
    "answers 404": (faults.status(404), RegistryError, 1),
    "always hangs up": (faults.hang_up(), RegistryError, PATIENT.attempts),
    "always hangs up in the headers": (faults.cut_head, RegistryError, PATIENT.attempts),
    "is no web server": (faults.GARBAGE, RegistryError, PATIENT.attempts),
    "sends headers without end": (faults.ENDLESS_HEADERS, RegistryError, 1),
    "sends one header without end": (faults.ENDLESS_HEADER, RegistryError, 1),
    "sends a body without end": (faults.ENDLESS_BODY, OcibuildError, 1),
    "redirects to itself": (faults.redirect("http://{self}{path}"), RegistryError, 11),
    "redirects to a file": (faults.redirect("file:///etc/passwd"), RegistryError, 1),
    "redirects to FTP": (faults.redirect("ftp://127.0.0.1/x"), RegistryError, 1),
    "redirects to no address": (faults.redirect("http://[::1"), RegistryError, 1),
    "redirects nowhere": (faults.status(307), RegistryError, 11),
}
SLOW: Final[dict[str, Act]] = {
    "never answers": faults.stall,
    "sends ten bytes a second": faults.drip_head,
    "sends interim answers for ever": faults.informed_forever,
}


@pytest.mark.parametrize(
    ("place", "what"), [pytest.param(p, w, id=f"{PLACES[p][0]} {w}") for p in PLACES for w in EVERYWHERE]
)
def test_it_is_an_error_where(world: World, place: str, what: str) -> None:
    act, error, most = EVERYWHERE[what]
    check(world, place, act, error, most)


@pytest.mark.parametrize(
    ("place", "act"),
    [
        pytest.param(place, act, id=f"{PLACES[place][0]} {what}")
        for place in ("auth GET token", "registry GET tag 1", "cdn GET layer 0")
        for what, act in SLOW.items()
    ],
)
def test_it_is_given_up_where(world: World, place: str, act: Act) -> None:
    world.policy = IMPATIENT
    check(world, place, act, RegistryError, IMPATIENT.attempts)
    world.policy = PATIENT


def check(world: World, place: str, act: Act, error: type[OcibuildError], most: int, says: str = "") -> None:
    """Pull with a fault at every request of ``place``; then without."""
    world.hub.fail(place, act, times=ALWAYS)
    begun, memory = time.monotonic(), peak_memory()
    with pytest.raises(error, match=says or None) as raised:
        world.pull()
    assert time.monotonic() - begun < 20
    assert peak_memory() - memory < 200 << 20
    message = str(raised.value)
    named = PLACES[place][1] if place in PLACES else None
    assert str(world.reference) in message
    assert "\n" not in message
    if named:
        assert digest_named(named) in message
    assert len([one for one in world.hub.of(place) if one.status != 401]) <= most
    world.check_has_not(IMAGE)
    world.check_secrets()
    kept = set(world.store.blobs)
    world.hub.forget()
    world.pull()
    world.check_has(IMAGE)
    again = {one.path.rpartition("/")[2] for one in world.hub.asked if one.label.startswith("cdn")}
    assert not again & {str(digest) for digest in kept}, "what was here has come again"


def digest_named(name: str) -> str:
    return next(digest for digest, known in IMAGE.names.items() if known == name)


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


OTHER_BYTES: Final[dict[str, tuple[str, Act, type[OcibuildError], str]]] = {
    # place, fault, error, what it says
    "the manifest is another one": ("registry GET manifest", faults.reply(b"{}"), DigestMismatch, ""),
    "the manifest has one bit more": ("registry GET manifest", faults.flipped(70), DigestMismatch, ""),
    "the config has one bit more": ("cdn GET config", faults.flipped(5), DigestMismatch, "another digest"),
    "a layer has one bit more": ("cdn GET layer 0", faults.flipped(500_000), DigestMismatch, "digest"),
    "the last bit of a layer is another one": (
        "cdn GET layer 0", faults.flipped(len(IMAGE.layers[0]) - 1), DigestMismatch, "digest",
    ),
    "a layer is longer than the manifest says": (
        "cdn GET layer 0", faults.reply(IMAGE.layers[0] + b"x"), DigestMismatch, "manifest says",
    ),
    "a layer is shorter than the manifest says": (
        "cdn GET layer 0", faults.reply(IMAGE.layers[0][:-1]), DigestMismatch, "manifest says",
    ),
    "a layer is empty": ("cdn GET layer 0", faults.reply(b""), DigestMismatch, "manifest says"),
    "the config is longer than the manifest says": (
        "cdn GET config", faults.reply(IMAGE.config + b" "), DigestMismatch, "manifest says",
    ),
    "a layer's length makes no sense": (
        "cdn GET layer 0", faults.headed(Content_Length="99999999999999999999999"), DigestMismatch, "manifest says",
    ),
    "the index has another digest than its header says": (
        "registry GET tag 1", faults.headed(Docker_Content_Digest=f"sha256:{'0' * 64}"), DigestMismatch, "",
    ),
    "the index has a digest that is none": (
        "registry GET tag 1", faults.headed(Docker_Content_Digest="md5:abc"), RegistryError, "",
    ),
    "the index is no JSON": (
        "registry GET tag 1", faults.reply(b"<html>Log in</html>"), InvalidDocument, "JSON",
    ),
    "the index is JSON of a depth without end": (
        "registry GET tag 1", faults.reply(b"[" * 1_000_000), InvalidDocument, "",
    ),
    "the index is of schema 1": (
        "registry GET tag 1",
        faults.reply(b"{}", Content_Type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
        UnsupportedMediaType, "schema 1",
    ),
    "the index is larger than four mebibytes": (
        "registry GET tag 1", faults.reply(b" " * ((4 << 20) + 1)), RegistryError, "4194304",
    ),
    "the answer for a layer is compressed once more": (
        "cdn GET layer 0", faults.reply(b"\x1f\x8b\x08", Content_Encoding="gzip"), DigestMismatch, "",
    ),
    "a part of a layer is sent that nobody asked for": (
        "cdn GET layer 0", faults.status(206, b"xyz", Content_Range="bytes 7-9/10"), RegistryError, "range",
    ),
    "a layer needs authorisation at the CDN": (
        "cdn GET layer 0",
        faults.status(401, WWW_Authenticate='Bearer realm="https://127.0.0.1:1/token",service="evil"'),
        Unauthorized, "",
    ),
    "the signature of a layer is refused": ("cdn GET layer 0", faults.status(403), Unauthorized, ""),
    "a layer is not there": ("registry GET layer 0", faults.status(404), NotFound, ""),
    "the token server gives no token": ("auth GET token", faults.reply(b"{}"), RegistryError, "no token"),
    "the token server gives a token of two lines": (
        "auth GET token", faults.reply(b'{"token": "a\\r\\nX-Evil: b"}'), RegistryError, "no token",
    ),
    "the token server is an HTML page": ("auth GET token", faults.reply(b"<html>"), RegistryError, "no token"),
    "the token server refuses the password": ("auth GET token", faults.status(401), Unauthorized, "refuses"),
    "the token server sends more than a mebibyte": (
        "auth GET token", faults.reply(b" " * ((1 << 20) + 1)), RegistryError, "1048576",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER_BYTES)
def test_it_is_refused_where(world: World, what: str) -> None:
    place, act, error, says = OTHER_BYTES[what]
    check(world, place, act, error, 1, says)
