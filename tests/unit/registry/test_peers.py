"""With real tools: Debian's registry at the other end, skopeo at the other end of the registry, TLS."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from demo.registry import FolderFiles, Service, serve
from ocibuild.errors import ConfigError, NotFound, RegistryError
from ocibuild.oci import Manifest, Platform, Reference, mediatypes, parse_manifest
from ocibuild.registry import Credentials, Registry, RegistryConfig, resolve
from ocibuild.registry.configuration.config import HostConfig
from ocibuild.transfer import push
from tests.support.peers import docker_registry, require_peer
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import AMD64, nothing, pull_layers, put_image, put_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.store import Store


@pytest.fixture(params=["docker-registry", "stand-in", "stand-in in a folder"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "docker-registry":
        with docker_registry(tmp_path) as running:
            yield running
        return
    service = Service(FolderFiles(str(tmp_path / "files"))) if "folder" in request.param else Service()
    with serve(service):
        yield service.address


def skopeo(*args: str) -> bytes:
    return subprocess.run([require_peer("skopeo"), *args], check=True, capture_output=True).stdout


def packed(data: bytes) -> bytes:
    """Return ``data`` as skopeo leaves it alone: layers that are not compressed it compresses."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("chunk_size", [None, 1_000_000], ids=["whole", "chunks"])
def test_an_index_goes_there_and_comes_back(
    address: str, store: Store, other_store: Store, noise: bytes, chunk_size: int | None
) -> None:
    reference = Reference.parse(f"{address}/team/app:1")
    image = put_image(store, [noise, b"", b"small"])
    index = put_index(store, ["linux/arm64", "linux/arm/v6"])
    with Registry(RegistryConfig(), Credentials(), policy=QUICK, chunk_size=chunk_size) as registry:
        push(registry, store, image, [reference, reference.with_tag("2")], progress=nothing)
        push(registry, store, index, [reference.with_tag("index")], progress=nothing)
        for tag, platform in (("1", "linux/amd64"), ("2", "linux/amd64"), ("index", "linux/arm/v7")):
            found = resolve(registry, other_store, reference.with_tag(tag), Platform.parse(platform))
            pull_layers(registry, other_store, found, progress=nothing)
        with pytest.raises(NotFound):
            resolve(registry, other_store, reference.with_tag("3"), AMD64)
    manifest = parse_manifest(store.blobs.read(image.digest))
    assert isinstance(manifest, Manifest)
    assert all(other_store.blobs.read(layer.digest) == store.blobs.read(layer.digest) for layer in manifest.layers)


def test_skopeo_reads_what_we_push(address: str, store: Store, tmp_path: Path, noise: bytes) -> None:
    reference = Reference.parse(f"{address}/team/app:1")
    image = put_image(store, [packed(noise), packed(b"small")], layer_type=mediatypes.OCI_LAYER_GZIP)
    with Registry(RegistryConfig(), Credentials(), policy=QUICK) as registry:
        push(registry, store, image, [reference], progress=nothing)
    layout = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{layout}:copied")
    index = json.loads((layout / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == image.digest
    inspected = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{reference}"))
    assert inspected["Digest"] == image.digest
    assert inspected["RepoTags"] == ["1"]


@pytest.mark.parametrize(
    ("form", "media_type"), [("oci", mediatypes.OCI_MANIFEST), ("v2s2", mediatypes.DOCKER_MANIFEST)]
)
def test_we_read_what_skopeo_pushes(
    address: str, store: Store, other_store: Store, tmp_path: Path, noise: bytes, form: str, media_type: str
) -> None:
    layout = tmp_path / "layout"
    reference = Reference.parse(f"{address}/team/app:1")
    layers = [packed(noise), packed(b"small")]
    image = put_image(store, layers, layer_type=mediatypes.OCI_LAYER_GZIP)
    with serve() as source:
        ours = Reference.parse(f"{source.address}/app:1")
        with Registry(RegistryConfig(), Credentials(), policy=QUICK) as registry:
            push(registry, store, image, [ours], progress=nothing)
        skopeo("copy", "--src-tls-verify=false", f"docker://{ours}", f"oci:{layout}:x")
    skopeo("copy", "--dest-tls-verify=false", "--format", form, f"oci:{layout}:x", f"docker://{reference}")
    with Registry(RegistryConfig(), Credentials(), policy=QUICK) as registry:
        found = resolve(registry, other_store, reference, AMD64)
        pull_layers(registry, other_store, found, progress=nothing)
    assert found.descriptor.media_type == media_type
    assert [other_store.blobs.read(layer.digest) for layer in found.manifest.layers] == layers


def test_skopeo_gets_and_uses_tokens(store: Store, tmp_path: Path) -> None:
    with serve(Service(login=("demo", "demo"))) as service:
        reference = Reference.parse(f"{service.address}/team/app:1")
        entry = {"auths": {service.address: {"username": "demo", "password": "demo"}}}
        known = Credentials.load({"DOCKER_AUTH_CONFIG": json.dumps(entry)})
        with Registry(RegistryConfig(), known, policy=QUICK) as registry:
            push(registry, store, put_image(store), [reference], progress=nothing)
        options = ["--src-tls-verify=false", "--src-creds=demo:demo"]
        skopeo("copy", *options, f"docker://{reference}", f"oci:{tmp_path / 'layout'}:x")


@contextmanager
def tls_service(folder: Path) -> Iterator[Service]:
    """Serve with a certificate for 127.0.0.1 that nobody knows; it is left as ``cert.pem`` in the folder."""
    subject = ["-subj", "/CN=stand-in", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = [require_peer("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with serve(Service(), tls=context) as service:
        yield service


def test_an_unknown_certificate_is_refused_with_a_remedy(store: Store, tmp_path: Path) -> None:
    with tls_service(tmp_path) as service:
        config = RegistryConfig({service.address: HostConfig(http=False)})
        reference = Reference.parse(f"{service.address}/app:1")
        with (
            Registry(config, Credentials(), policy=QUICK) as registry,
            pytest.raises(RegistryError, match=r"certificate of .* is not trusted.*`ca`"),
        ):
            push(registry, store, put_image(store), [reference], progress=nothing)
        assert service.seen == []


@pytest.mark.parametrize("trust", ["ca", "insecure"])
def test_a_certificate_is_trusted_where_the_configuration_says_so(
    store: Store, other_store: Store, tmp_path: Path, trust: str
) -> None:
    with tls_service(tmp_path) as service:
        setting = HostConfig(ca=(str(tmp_path / "cert.pem"),)) if trust == "ca" else HostConfig(insecure=True)
        reference = Reference.parse(f"{service.address}/app:1")
        with Registry(RegistryConfig({service.address: setting}), Credentials(), policy=QUICK) as registry:
            push(registry, store, put_image(store), [reference], progress=nothing)
            pull_layers(registry, other_store, resolve(registry, other_store, reference, AMD64), progress=nothing)


@pytest.mark.parametrize("content", [None, "not a certificate"], ids=["missing", "nonsense"])
def test_an_authority_that_cannot_be_used_is_named(store: Store, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    config = RegistryConfig({"127.0.0.1:1": HostConfig(ca=(str(path),))})
    with (
        Registry(config, Credentials(), policy=QUICK) as registry,
        pytest.raises(ConfigError, match=r"ca\.pem: cannot be used as `ca`"),
    ):
        resolve(registry, store, Reference.parse("127.0.0.1:1/app:1"), AMD64)
