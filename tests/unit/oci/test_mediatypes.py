from __future__ import annotations

import pytest

from ocibuild.errors import UnsupportedMediaType
from ocibuild.oci import Compression, compression_of, is_index, is_layer, is_manifest, layer_type, mediatypes


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        ("application/vnd.oci.image.layer.v1.tar", Compression.NONE),
        ("application/vnd.oci.image.layer.v1.tar+gzip", Compression.GZIP),
        ("application/vnd.oci.image.layer.v1.tar+zstd", Compression.ZSTD),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", Compression.NONE),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression.GZIP),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression.ZSTD),
        ("application/vnd.docker.image.rootfs.diff.tar", Compression.NONE),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression.GZIP),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", Compression.ZSTD),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression.GZIP),
    ],
)
def test_the_compression_of_a_layer_is_in_its_media_type(media_type: str, compression: Compression) -> None:
    assert compression_of(media_type) is compression
    assert is_layer(media_type)


@pytest.mark.parametrize(
    "media_type",
    ["", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", mediatypes.OCI_CONFIG, "x" * 10_000],
    ids=["empty", "encrypted", "config", "long"],
)
def test_what_is_no_layer_is_refused_by_name(media_type: str) -> None:
    assert not is_layer(media_type)
    with pytest.raises(UnsupportedMediaType, match="is not the media type of a layer") as caught:
        compression_of(media_type)
    assert media_type[:100] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("compression", list(Compression))
def test_a_compression_has_an_oci_media_type(compression: Compression) -> None:
    assert compression_of(layer_type(compression)) is compression
    assert layer_type(compression).startswith("application/vnd.oci.")


def test_manifests_and_indexes_are_told_apart() -> None:
    manifests = {mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST}
    indexes = {mediatypes.OCI_INDEX, mediatypes.DOCKER_MANIFEST_LIST}
    for media_type in manifests | indexes | {mediatypes.OCI_CONFIG, mediatypes.DOCKER_SCHEMA1}:
        assert is_manifest(media_type) == (media_type in manifests)
        assert is_index(media_type) == (media_type in indexes)
