from __future__ import annotations

import pytest

from ocibuild.oci import Descriptor, Digest, Platform, acceptable_platforms, mediatypes, select


def manifest_for(text: str | None, **members: str) -> Descriptor:
    platform = None
    if text is not None:
        system, architecture, *variant = text.split("/")
        platform = Platform(system, architecture, variant[0] if variant else None)
    name = f"{text}{members}".encode()
    return Descriptor(mediatypes.OCI_MANIFEST, Digest.of(name), len(name), annotations=members, platform=platform)


@pytest.mark.parametrize(
    ("wanted", "offered", "best"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v2", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v1"], "linux/amd64/v1"),
        ("linux/amd64", ["linux/x86_64"], "linux/x86_64"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/amd64/v3", ["linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v2", "linux/arm64"], None),
        ("linux/amd64", ["linux/386"], "linux/386"),
        ("linux/386", ["linux/amd64"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm64/v9", ["linux/arm64/v8", "linux/arm64/v8.5"], "linux/arm64/v8.5"),
        ("linux/arm64", ["linux/arm64/v9"], None),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v7", ["linux/arm"], "linux/arm"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/s390x", [], None),
    ],
)
def test_the_best_platform_is_taken(wanted: str, offered: list[str], best: str | None) -> None:
    descriptors = [manifest_for(text) for text in offered]
    found = select(descriptors, Platform.parse(wanted))
    assert found == (None if best is None else manifest_for(best))


def test_of_two_equals_the_first_is_taken() -> None:
    first, second = manifest_for("linux/amd64", number="1"), manifest_for("linux/amd64", number="2")
    assert select([first, second], Platform.parse("linux/amd64")) is first


def test_attestations_are_never_taken() -> None:
    unknown = manifest_for("unknown/unknown")
    annotated = manifest_for("linux/amd64", **{"vnd.docker.reference.type": "attestation-manifest"})
    assert select([unknown, annotated], Platform.parse("linux/amd64")) is None
    assert select([unknown], Platform("unknown", "unknown")) is None


def test_a_manifest_that_names_no_platform_is_taken_where_it_is_alone() -> None:
    unnamed = manifest_for(None)
    wanted = Platform.parse("linux/amd64")
    assert select([unnamed], wanted) is unnamed
    assert select([unnamed, manifest_for("linux/amd64")], wanted) == manifest_for("linux/amd64")
    assert select([unnamed, manifest_for(None, number="2")], wanted) is None


def test_a_feature_that_is_not_wanted_rules_an_image_out() -> None:
    offered = Descriptor(
        mediatypes.OCI_MANIFEST, Digest.of(b""), 0, platform=Platform("linux", "amd64", os_features=("special",))
    )
    assert select([offered], Platform("linux", "amd64")) is None
    assert select([offered], Platform("linux", "amd64", os_features=("special", "more"))) is offered


def test_the_platforms_that_a_new_arm64_runs_come_newest_first() -> None:
    names = [str(platform) for platform in acceptable_platforms(Platform.parse("linux/arm64/v9.1"))]
    arm64 = ["v9.1", "v9", "v8.6", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1"]
    arm = ["v8", "v7", "v6", "v5"]
    assert names == [*(f"linux/arm64/{v}" for v in arm64), "linux/arm64", *(f"linux/arm/{v}" for v in arm)]
