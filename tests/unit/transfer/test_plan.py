from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ocibuild.errors import (
    DigestMismatch,
    InvalidDocument,
    NoMatchingPlatform,
    OcibuildError,
    UnsupportedMediaType,
    UsageError,
)
from ocibuild.oci import Descriptor, Digest, Index, Platform, mediatypes
from ocibuild.transfer import Plan, Selection, make_plan
from tests.unit.transfer.memory import AMD64, ARM64, S390X, MemorySource

ALL = Selection(everything=True)


@pytest.fixture
def source() -> MemorySource:
    """Two images that share a layer, the attestation of one, and an index of all three."""
    source = MemorySource()
    amd64, arm64 = source.put_image(AMD64, b"shared", b"amd64"), source.put_image(ARM64, b"shared", b"arm64")
    source.named = source.put_index(amd64, arm64, source.put_attestation(amd64), annotations={"of": "tests"})
    return source


def entries(source: MemorySource) -> list[Descriptor]:
    return [Descriptor.from_json(entry) for entry in json.loads(source.blobs[source.root().digest])["manifests"]]


def contents(source: MemorySource, plan: Plan) -> set[bytes]:
    return {source.blobs[blob.digest] for blob in plan.blobs if not source.blobs[blob.digest].startswith(b"{")}


def test_everything_is_the_index_as_it_is(source: MemorySource) -> None:
    plan = make_plan(source, ALL)
    assert plan.root.data == source.blobs[source.root().digest]
    assert [below.descriptor.digest for below in plan.below] == [entry.digest for entry in entries(source)]
    assert contents(source, plan) == {b"shared", b"amd64", b"arm64"}
    assert len(plan.blobs) == len({blob.digest for blob in plan.blobs}) == 7


def test_one_platform_is_its_image_alone(source: MemorySource) -> None:
    plan = make_plan(source, Selection((ARM64,)))
    assert plan.root.descriptor == replace(entries(source)[1], platform=None)
    assert plan.below == ()
    assert contents(source, plan) == {b"shared", b"arm64"}


def test_no_choice_is_this_machine(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Platform, "host", lambda: ARM64)
    assert make_plan(source, Selection()).root.descriptor.digest == entries(source)[1].digest


def test_several_platforms_are_a_new_index_of_their_entries(source: MemorySource) -> None:
    third = source.put_image(S390X, b"s390x")
    source.named = source.put_index(*entries(source), third, annotations={"of": "tests"})
    plan = make_plan(source, Selection((S390X, AMD64, S390X)))
    made = plan.root.content
    assert isinstance(made, Index)
    assert made.manifests == (entries(source)[0], third)
    assert (made.annotations, made.media_type) == ({"of": "tests"}, mediatypes.OCI_INDEX)
    assert plan.root.descriptor == Descriptor(mediatypes.OCI_INDEX, Digest.of(plan.root.data), len(plan.root.data))
    assert plan.root.descriptor.digest != source.root().digest
    assert contents(source, plan) == {b"shared", b"amd64", b"s390x"}
    assert {below.descriptor.digest for below in plan.below} == {entry.digest for entry in made.manifests}


def test_all_platforms_by_name_keep_the_index(source: MemorySource) -> None:
    source.named = source.put_index(*entries(source)[:2])
    assert make_plan(source, Selection((AMD64, ARM64))).root.descriptor.digest == source.root().digest


def test_all_and_a_platform_are_refused() -> None:
    with pytest.raises(UsageError, match=r"give --all or --platform"):
        Selection((AMD64,), everything=True)


def test_a_platform_that_is_not_there_is_named_with_those_that_are(source: MemorySource) -> None:
    with pytest.raises(NoMatchingPlatform) as caught:
        make_plan(source, Selection((AMD64, S390X)))
    assert str(caught.value) == "memory:source: no image for linux/s390x (it has linux/amd64, linux/arm64)"


@pytest.mark.parametrize("selection", [ALL, Selection(), Selection((AMD64,))])
def test_a_single_image_is_copied_whatever_is_chosen_that_fits(selection: Selection) -> None:
    source = MemorySource()
    source.named = source.put_image(AMD64, b"layer")
    assert make_plan(source, selection).root.descriptor.digest == source.named.digest


def test_a_single_image_is_not_taken_for_one_of_another_platform() -> None:
    source = MemorySource()
    source.named = source.put_image(AMD64, b"layer")
    with pytest.raises(NoMatchingPlatform, match="memory:source: the image is for linux/amd64, not for linux/arm64"):
        make_plan(source, Selection((ARM64,)))


@pytest.mark.parametrize("there", [True, False])
def test_a_foreign_layer_comes_along_where_the_source_has_it(there: bool) -> None:
    source = MemorySource()
    foreign = source.put(b"foreign", mediatypes.DOCKER_FOREIGN_LAYER_GZIP, urls=("https://registry.example/l",))
    source.named = source.put_image(AMD64, b"layer", further=[foreign, foreign])
    if not there:
        del source.blobs[foreign.digest]
    plan = make_plan(source, ALL)
    assert (foreign.digest in {blob.digest for blob in plan.blobs}) == there
    assert source.opened == [foreign.digest]


def nested(source: MemorySource, depth: int) -> Descriptor:
    below = source.put_image(AMD64, b"deep")
    for number in range(depth):
        below = replace(source.put_index(below, annotations={"depth": str(number)}), platform=AMD64)
    return below


@pytest.mark.parametrize("selection", [ALL, Selection((AMD64,)), Selection((AMD64, Platform("linux", "amd64", "v2")))])
def test_three_indexes_may_lie_in_one_another_and_no_more(selection: Selection) -> None:
    source = MemorySource()
    source.named = nested(source, 3)
    assert contents(source, make_plan(source, selection)) == {b"deep"}
    source.named = nested(source, 4)
    with pytest.raises(OcibuildError, match=r"memory:source: more than 3 indexes lie in one another"):
        make_plan(source, selection)


def test_an_index_that_names_one_manifest_again_and_again_is_read_once() -> None:
    source = MemorySource()
    image = source.put_image(AMD64, b"layer")
    inner = source.put_index(*[image] * 1000)
    source.named = source.put_index(*[inner] * 1000)
    plan = make_plan(source, ALL)
    assert [below.descriptor.digest for below in plan.below] == [image.digest, inner.digest]


def with_layers(source: MemorySource, *layers: dict[str, object]) -> Descriptor:
    config = source.put(json.dumps(AMD64.to_json()).encode(), mediatypes.OCI_CONFIG)
    return source.put_json({"config": config.to_json(), "layers": layers}, mediatypes.OCI_MANIFEST)


def layer(size: int) -> dict[str, object]:
    return Descriptor(mediatypes.OCI_LAYER_GZIP, Digest.of(b"layer"), size).to_json()


def test_what_is_beyond_the_limits_is_refused_before_anything_is_read() -> None:
    source = MemorySource()
    source.named = with_layers(source, *[layer(5)] * 1000)
    make_plan(source, ALL)
    source.named = with_layers(source, *[layer(5)] * 1001)
    with pytest.raises(InvalidDocument, match=r"memory:source: sha256:\w+: 1001 layers, and an image may have 1000"):
        make_plan(source, ALL)
    config = Descriptor(mediatypes.OCI_CONFIG, Digest.of(b""), (16 << 20) + 1)
    source.named = source.put_json({"config": config.to_json(), "layers": []}, mediatypes.OCI_MANIFEST)
    with pytest.raises(InvalidDocument, match="a config of 16777217 bytes"):
        make_plan(source, ALL)
    source.named = Descriptor(mediatypes.OCI_MANIFEST, Digest.of(b"never read"), (4 << 20) + 1)
    with pytest.raises(InvalidDocument, match="4194305 bytes, and a manifest may have 4194304"):
        make_plan(source, ALL)


def test_manifests_that_do_not_fit_into_memory_are_refused() -> None:
    source = MemorySource()
    big = [
        source.put_json(
            {**json.loads(source.blobs[source.put_image(AMD64).digest]), "annotations": {"a": str(n) * (4000 << 10)}},
            mediatypes.OCI_MANIFEST,
        )
        for n in range(2)
    ]
    source.named = source.put_index(*big)
    make_plan(source, ALL)
    more = [replace(big[0], digest=Digest.of(bytes([n]))) for n in range(17)]
    source.blobs.update((one.digest, source.blobs[big[0].digest]) for one in more)
    source.named = source.put_index(*more)
    with pytest.raises(InvalidDocument, match="more than 67108864 bytes of manifests"):
        make_plan(source, ALL)


def test_a_blob_with_two_sizes_is_refused() -> None:
    source = MemorySource()
    source.named = with_layers(source, layer(5), layer(6))
    with pytest.raises(DigestMismatch, match="is said to have 6 bytes and 5"):
        make_plan(source, ALL)


def test_a_manifest_with_two_natures_is_refused() -> None:
    source = MemorySource()
    image = source.put_image(AMD64)
    source.named = source.put_index(image, replace(image, media_type=mediatypes.DOCKER_MANIFEST))
    with pytest.raises(InvalidDocument, match="is named as two different things"):
        make_plan(source, ALL)


@pytest.mark.parametrize(
    ("data", "media_type", "error"),
    [
        (b"{", mediatypes.OCI_MANIFEST, InvalidDocument),
        (b'{"schemaVersion": 1}', mediatypes.OCI_MANIFEST, UnsupportedMediaType),
        (b"{}", "text/plain", InvalidDocument),
    ],
    ids=["no-json", "schema-1", "text"],
)
def test_what_is_no_manifest_is_refused(data: bytes, media_type: str, error: type[OcibuildError]) -> None:
    source = MemorySource()
    source.named = source.put_index(source.put(data, media_type))
    with pytest.raises(error):
        make_plan(source, ALL)
