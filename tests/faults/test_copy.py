"""Copies between two registries of which one fails: no byte comes or goes twice, the target is whole or untouched."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from ocibuild.errors import DigestMismatch, NotFound, OcibuildError, RegistryError
from ocibuild.oci import Descriptor, Digest, Manifest, Reference, mediatypes, parse_manifest
from ocibuild.registry import RegistryDestination
from ocibuild.registry.blobs import upload
from ocibuild.transfer import Ends, Selection, parse_location, transfer
from tests.faults.test_push import check_there, sent
from tests.faults.world import AMD64, IMAGE
from tests.support import faults
from tests.support.hub import ALWAYS, Hub, serve_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.world import World
    from tests.support.faults import Act

SOURCE: Final = Counter(
    ["auth GET token", "registry GET tag 1", "registry GET manifest"]
    + [f"{server} GET {part}" for server in ("registry", "cdn") for part in ("config", "layer 0", "layer 1")]
)
LARGE: Final = len(IMAGE.layers[0])
SIZE: Final = sum(len(blob) for blob in (*IMAGE.layers, IMAGE.config))


@pytest.fixture
def target() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.names.update(IMAGE.names)
        yield hub


def copy(world: World, target: Hub, tag: str = "1") -> Digest:
    world.further_hosts = (target.address,)
    with world.client() as registry:
        return transfer(
            Ends(lambda: registry, lambda: world.store),
            parse_location(f"docker://{world.reference}"),
            parse_location(f"docker://{target.address}/team/app:{tag}"),
            Selection((AMD64,)),
            progress=lambda *_: None,
            abandon=registry.stop,
        )


ONCE: Final[dict[str, tuple[str, Act]]] = {
    "the source answers 503": ("cdn GET layer 0", faults.status(503)),
    "the source hangs up in a layer": ("cdn GET layer 0", faults.cut(600_000)),
    "the source resets the connection": ("cdn GET layer 0", faults.reset),
    "the source answers 429 to the manifest": ("registry GET manifest", faults.status(429)),
    "the source's token server answers 500": ("auth GET token", faults.status(500)),
}


@pytest.mark.parametrize("what", ONCE)
def test_it_arrives_where(world: World, target: Hub, what: str) -> None:
    place, act = ONCE[what]
    world.hub.fail(place, act)
    assert copy(world, target) == IMAGE.digest
    check_there(target)
    world.check_secrets()
    again = [place, place.replace("cdn", "registry")] if place.startswith("cdn") else [place]
    assert world.hub.counts() == SOURCE + Counter(again)
    assert sent(target) == SIZE
    if "in a layer" in what:
        assert [one.headers.get("Range") for one in world.hub.of(place)] == [None, "bytes=600000-"]


def test_what_breaks_at_the_target_is_asked_for_again_from_there(
    world: World, target: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "STREAMED", 500_000)
    target.fail("registry PATCH upload", faults.take(400_000))
    copy(world, target)
    check_there(target)
    assert [one.headers.get("Range") for one in world.hub.of("cdn GET layer 0")] == [None, "bytes=400000-"]
    assert sum(one.received for one in target.of("registry PATCH upload")) == LARGE


FOR_GOOD: Final[dict[str, tuple[str, Act, type[OcibuildError]]]] = {
    "a layer has one bit more": ("cdn GET layer 0", faults.flipped(500_000), DigestMismatch),
    "the last bit of a layer is another one": ("cdn GET layer 0", faults.flipped(LARGE - 1), DigestMismatch),
    "a layer is longer": ("cdn GET layer 0", faults.reply(IMAGE.layers[0] + b"x"), DigestMismatch),
    "a layer is shorter": ("cdn GET layer 0", faults.reply(IMAGE.layers[0][:-1]), DigestMismatch),
    "a layer does not end": ("cdn GET layer 0", faults.ENDLESS_BODY, DigestMismatch),
    "a layer is not there": ("registry GET layer 0", faults.status(404), NotFound),
    "a layer always breaks": ("cdn GET layer 0", faults.hang_up(), RegistryError),
    "the config has one bit more": ("cdn GET config", faults.flipped(5), DigestMismatch),
    "the manifest is another one": ("registry GET manifest", faults.reply(b"{}"), OcibuildError),
    "the CDN redirects for ever": ("cdn GET layer 0", faults.redirect("http://{self}{path}"), RegistryError),
    "the registry redirects to a file": ("registry GET layer 0", faults.redirect("file:///etc/passwd"), RegistryError),
}


@pytest.mark.parametrize("what", FOR_GOOD)
def test_nothing_gets_a_name_where(world: World, target: Hub, what: str) -> None:
    place, act, error = FOR_GOOD[what]
    world.hub.fail(place, act, times=ALWAYS)
    with pytest.raises(error) as raised:
        copy(world, target)
    message = str(raised.value)
    assert str(world.reference) in message
    assert any(digest in message for digest in IMAGE.names)
    assert "\n" not in message
    assert target.files.get("team/app/_tags/1") is None
    if "layer" in place and "cdn" in place:
        assert target.files.get(f"team/app/_blobs/{Digest.of(IMAGE.layers[0])}") is None
    world.check_secrets()
    world.hub.forget()
    copy(world, target)
    check_there(target)


# -- referrers, where the registry has no API for them


@pytest.mark.parametrize(
    ("place", "act"),
    [
        ("registry GET referrers tag", faults.status(503)),
        ("registry GET referrers tag", faults.hang_up()),
        ("registry PUT referrers tag", faults.status(429, Retry_After="0")),
        ("registry PUT referrers tag", faults.lose_answer),
    ],
    ids=["busy", "cut", "limited", "answer lost"],
)
def test_the_index_of_referrers_survives(world: World, target: Hub, place: str, act: Act) -> None:
    copy(world, target)
    subject = Descriptor(mediatypes.OCI_MANIFEST, IMAGE.digest, len(IMAGE.manifest))
    manifest = parse_manifest(IMAGE.manifest)
    assert isinstance(manifest, Manifest)
    data = Manifest(
        mediatypes.OCI_MANIFEST, manifest.config, manifest.layers, subject=subject, artifact_type="application/x.sbom"
    ).to_bytes()
    about = Descriptor(mediatypes.OCI_MANIFEST, Digest.of(data), len(data))
    reference = Reference.parse(f"{target.address}/team/app:1")
    target.fail(place, act)
    with world.client() as registry:
        RegistryDestination(registry, [reference], world.store.origins).put_manifest(about, data)
        (found,) = registry.referrers(reference.with_digest(IMAGE.digest))
    assert (found.digest, found.artifact_type) == (about.digest, "application/x.sbom")
    check_there(target)
