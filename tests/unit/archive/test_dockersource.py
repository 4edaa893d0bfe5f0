from __future__ import annotations

import gzip
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from ocibuild.archive import docker_archive_source
from ocibuild.errors import DigestMismatch, InvalidDocument, NotFound, OcibuildError
from ocibuild.oci import Digest, Manifest, Reference, mediatypes, parse_manifest
from ocibuild.oci.verified import verified
from tests.unit.archive.dockertars import DockerTar, config_of, plain_layer, simple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read(path: str, reference: str | None = None, number: int | None = None) -> tuple[Manifest, list[bytes]]:
    """Return the manifest of an image, and its config and layers, each verified."""
    name = Reference.parse(reference) if reference else None
    with docker_archive_source(path, f"docker-archive:{path}", reference=name, number=number) as source:
        root = source.root()
        data = source.read_manifest(root)
        assert Digest.of(data) == root.digest
        manifest = parse_manifest(data, root.media_type)
        assert isinstance(manifest, Manifest)
        found = []
        for blob in (manifest.config, *manifest.layers):
            with source.open_blob(blob) as file:
                found.append(b"".join(verified(file, blob)))
        return manifest, found


@pytest.mark.parametrize("compressed", [False, True])
def test_config_and_layers_are_kept_as_they_are(compressed: bool, tmp_path: Path) -> None:
    tar, config, layers = simple(compressed=compressed)
    manifest, found = read(tar.write(tmp_path / "t.tar"))
    assert found == [config, *layers]
    assert manifest.media_type == mediatypes.DOCKER_MANIFEST
    assert manifest.config.digest == Digest.of(config)
    kind = mediatypes.DOCKER_LAYER_GZIP if compressed else mediatypes.DOCKER_LAYER
    assert [layer.media_type for layer in manifest.layers] == [kind, kind]


def test_zstd_layers_are_known_for_what_they_are(tmp_path: Path) -> None:
    tar, plain = DockerTar(), plain_layer("a")
    tar.image(tar.add("c", config_of(plain)), [tar.add("l", zstandard.compress(plain))])
    manifest, _ = read(tar.write(tmp_path / "t.tar"))
    assert manifest.layers[0].media_type == mediatypes.DOCKER_LAYER_ZSTD


def test_a_blob_is_read_from_an_offset(tmp_path: Path) -> None:
    tar, _, layers = simple()
    with docker_archive_source(tar.write(tmp_path / "t.tar"), "t") as source:
        manifest = Manifest.from_json(json.loads(source.read_manifest(source.root())), mediatypes.DOCKER_MANIFEST)
        with source.open_blob(manifest.layers[0], 1000) as file:
            assert file.read() == layers[0][1000:]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symlink", "hard-link"])
def test_old_docker_has_links_for_layers_that_are_there_already(kind: bytes, tmp_path: Path) -> None:
    tar, plain = DockerTar(), plain_layer("a")
    tar.add("11", kind=tarfile.DIRTYPE)
    tar.add("22", kind=tarfile.DIRTYPE)
    tar.add("22/layer.tar", kind=kind, to="../11/layer.tar" if kind == tarfile.SYMTYPE else "11/layer.tar")
    tar.add("11/layer.tar", plain)
    tar.image(tar.add("c.json", config_of(plain, plain)), ["11/layer.tar", "22/layer.tar"], "app:1")
    manifest, found = read(tar.write(tmp_path / "t.tar"))
    assert found[1:] == [plain, plain]
    assert manifest.layers[0] == manifest.layers[1]


def two(tmp_path: Path) -> tuple[str, list[bytes]]:
    tar, configs = DockerTar(), []
    for number in range(2):
        layer = plain_layer(f"file{number}")
        configs.append(config_of(layer))
        names = [f"registry.example:5000/app:{number}", f"app:{number}"]
        tar.image(tar.add(f"{number}.json", configs[-1]), [tar.add(f"{number}.tar", layer)], *names)
    return tar.write(tmp_path / "two.tar"), configs


@pytest.mark.parametrize(
    ("reference", "number", "image"),
    [("app:1", None, 1), ("docker.io/library/app:0", None, 0), ("registry.example:5000/app:1", None, 1), (None, 1, 1)],
)
def test_of_several_images_a_name_or_a_number_tells(
    reference: str | None, number: int | None, image: int, tmp_path: Path
) -> None:
    path, configs = two(tmp_path)
    assert read(path, reference, number)[1][0] == configs[image]


def test_an_image_that_is_not_named_or_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path, _ = two(tmp_path)
    with pytest.raises(NotFound) as caught:
        read(path)
    assert str(caught.value) == (
        f"docker-archive:{path}: it has 2 images (name one of registry.example:5000/app:0, app:0, "
        "registry.example:5000/app:1, app:1, or @0 and so on)"
    )
    with pytest.raises(NotFound, match=r"no image with the name app:2 \(it has registry.example:5000/app:0, "):
        read(path, "app:2")
    with pytest.raises(NotFound, match=r"no image with the number 2 \(it has 2, from 0 on\)"):
        read(path, number=2)


def change(tar: DockerTar, **members: object) -> None:
    tar.images[0].update(members)


def replace_member(tar: DockerTar, name: str, content: bytes) -> None:
    tar.members = [(one, content if one == name else old, *rest) for one, old, *rest in tar.members]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tar: change(tar, Layers=["0/layer.tar"]), "2 diff IDs for 1 layers"),
        (lambda tar: change(tar, Layers=["0/layer.tar", "../../etc/passwd"]), "'../../etc/passwd' is not there"),
        (lambda tar: change(tar, Layers=["0/layer.tar", "/etc/passwd"]), "'/etc/passwd' is not there"),
        (lambda tar: change(tar, Layers=["a"] * 1001), "1001 layers, and an image may have 1000"),
        (lambda tar: change(tar, Layers="0/layer.tar"), "is not a list"),
        (lambda tar: change(tar, Config="/etc/passwd"), "it is not there"),
        (lambda tar: change(tar, Config=None), "Config: None is not a string"),
        (lambda tar: change(tar, config="0/layer.tar"), "the member 'config' is spelt 'Config'"),
        (lambda tar: replace_member(tar, "config.json", b"{"), "config: not JSON"),
        (lambda tar: replace_member(tar, "config.json", b" " * ((16 << 20) + 1)), "16777217 bytes"),
        (lambda tar: tar.add("0/layer.tar"), "'0/layer.tar' is in it twice"),
        (lambda tar: tar.add("1/dev", kind=tarfile.CHRTYPE), "is a character device where a file must be"),
        (lambda tar: tar.add("../out"), "leaves the root directory"),
        (lambda tar: tar.images.clear(), "it has 0 images"),
        (lambda tar: tar.images.extend(tar.images * 1000), "1001 images, more than 1000"),
    ],
    ids=[
        "fewer-layers", "dotdot", "absolute", "many-layers", "no-list", "config-absolute", "no-config", "two-spellings",
        "bad-config", "huge-config", "twice", "device", "outside", "none", "many-images",
    ],
)  # fmt: skip
def test_a_hostile_archive_gets_a_line(spoil: Callable[[DockerTar], object], message: str, tmp_path: Path) -> None:
    tar, _, _ = simple()
    spoil(tar)
    path = tar.write(tmp_path / "t.tar")
    with pytest.raises(OcibuildError) as caught:
        read(path)
    assert str(caught.value).startswith(f"docker-archive:{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../etc/passwd", "2/layer.tar", "layer.tar", "."])
def test_a_link_leads_to_a_member_or_nowhere(to: str, tmp_path: Path) -> None:
    tar, _, _ = simple()
    tar.members = [member for member in tar.members if member[0] != "1/layer.tar"]
    tar.add("1/layer.tar", kind=tarfile.SYMTYPE, to=to)
    with pytest.raises(InvalidDocument, match=r"the layer '1/layer.tar' is not there"):
        read(tar.write(tmp_path / "t.tar"))


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    tar, _, _ = simple()
    for number in range(20):
        tar.add(f"link{number}", kind=tarfile.SYMTYPE, to=f"link{(number + 1) % 20}")
    change(tar, Layers=["0/layer.tar", "link0"])
    with pytest.raises(InvalidDocument, match="'link0' is not there"):
        read(tar.write(tmp_path / "t.tar"))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_layer_of_another_content_is_found_out(compressed: bool, tmp_path: Path) -> None:
    tar, _, layers = simple(compressed=compressed)
    other = plain_layer("a", b"A" * 70_000)
    assert compressed or len(other) == len(layers[0])
    replace_member(tar, "0/layer.tar", gzip.compress(other) if compressed else other)
    with pytest.raises(DigestMismatch):
        read(tar.write(tmp_path / "t.tar"))


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_compressed_layer_that_ends_too_early_is_refused(cut: int, tmp_path: Path) -> None:
    tar, _, layers = simple(compressed=True)
    replace_member(tar, "1/layer.tar", layers[1][:-cut])
    with pytest.raises(OcibuildError, match=r"^docker-archive:"):
        read(tar.write(tmp_path / "t.tar"))


@pytest.mark.parametrize("manifest", [b"", b"{}", b"[1]", b"[[]]", b"[" * 100_000, b'[{"Config": "a", "Config": "b"}]'])
def test_a_list_that_is_none_gets_a_line(manifest: bytes, tmp_path: Path) -> None:
    tar, _, _ = simple()
    with pytest.raises(InvalidDocument, match=r"manifest.json: "):
        read(tar.write(tmp_path / "t.tar", manifest=manifest))


def test_what_is_no_docker_archive_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("index.json"))
    with pytest.raises(InvalidDocument, match=r"it has no manifest.json \(for an archive of a layout use oci-archive:"):
        read(str(tmp_path / "t.tar"))
    with pytest.raises(OcibuildError, match="No such file or directory"):
        read(str(tmp_path / "missing.tar"))
    (tmp_path / "t.tar.gz").write_bytes(gzip.compress((tmp_path / "t.tar").read_bytes()))
    with pytest.raises(InvalidDocument, match="the archive is compressed with gzip"):
        read(str(tmp_path / "t.tar.gz"))
