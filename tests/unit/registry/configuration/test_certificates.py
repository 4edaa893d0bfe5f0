from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import ConfigError, RegistryError, Unauthorized
from ocibuild.registry import Credentials, Password, Registry, RegistryConfig
from ocibuild.registry.configuration.certificates import (
    Certificates,
    KeyPair,
    find_certificates,
    has_folder,
    usual_certificate_folders,
)
from ocibuild.registry.configuration.config import HostConfig
from tests.support.authority import Authority, Issued
from tests.support.peers import docker_registry, require_peer
from tests.support.token_server import htpasswd_settings, tls_settings
from tests.unit.registry.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "registry.example:5000"


def folder_with(tmp_path: Path, *names: str, host: str = HOST) -> Path:
    folder = tmp_path / "certs.d" / host
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def find(tmp_path: Path, host: str = HOST) -> Certificates:
    return find_certificates(host, [str(tmp_path / "certs.d")])


def test_files_are_told_apart_by_their_ends(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "b.crt", "a.crt", "me.cert", "me.key", "README", "old.crt.bak")
    expected = Certificates(
        (str(folder / "a.crt"), str(folder / "b.crt")), (KeyPair(str(folder / "me.cert"), str(folder / "me.key")),)
    )
    assert find(tmp_path) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("me.cert", r"me\.cert: the key me\.key is missing .*NAME\.crt"),
        ("me.key", r"me\.key: the certificate me\.cert is missing"),
    ],
)
def test_half_a_pair_is_an_error(tmp_path: Path, name: str, complaint: str) -> None:
    folder_with(tmp_path, name, "other.cert", "other.key")
    with pytest.raises(ConfigError, match=complaint):
        find(tmp_path)


@pytest.mark.parametrize("host", ["registry.example", "registry.example:5001", "other.example", "", "..", ".", "../x"])
def test_certificates_are_for_one_host_and_port(tmp_path: Path, host: str) -> None:
    folder_with(tmp_path, "a.crt")
    (tmp_path / "certs.d" / "b.crt").touch()
    assert find(tmp_path, host) == Certificates()
    assert not has_folder(host, [str(tmp_path / "certs.d")])


def test_folders_are_read_in_order(tmp_path: Path) -> None:
    folders = [str(tmp_path / name / "certs.d") for name in ("own", "missing", "machine")]
    first, second = (folder_with(tmp_path / name, "a.crt") for name in ("own", "machine"))
    assert find_certificates(HOST, folders).ca == (str(first / "a.crt"), str(second / "a.crt"))


def test_the_usual_folders_are_those_of_docker_and_podman() -> None:
    machine = ("/etc/docker/certs.d", "/etc/containers/certs.d")
    assert usual_certificate_folders({}) == machine
    assert usual_certificate_folders({"HOME": "/home/anna"}) == (
        "/home/anna/.config/docker/certs.d",
        "/home/anna/.config/containers/certs.d",
        *machine,
    )
    assert usual_certificate_folders({"HOME": "/home/anna", "XDG_CONFIG_HOME": "/c"})[0] == "/c/docker/certs.d"


def test_loopback_with_a_folder_is_https(tmp_path: Path) -> None:
    folder_with(tmp_path, "a.crt", host="127.0.0.1:5000")
    config = RegistryConfig.load(None, certificate_folders=(str(tmp_path / "certs.d"),))
    assert config.origin("127.0.0.1:5000").base_url == "https://127.0.0.1:5000"
    assert config.origin("127.0.0.1:5001").base_url == "http://127.0.0.1:5001"


@contextmanager
def guarded_registry(tmp_path: Path) -> Iterator[tuple[str, Authority]]:
    """Run docker-registry, which lets in who has both a certificate of the authority and the password."""
    authority = Authority.make(tmp_path / "ca")
    server = authority.issue("server", "IP:127.0.0.1")
    settings = tls_settings(server.cert, server.key, authority.own.cert) + htpasswd_settings(tmp_path, "anna", "hush")
    with docker_registry(tmp_path, settings) as address:
        yield address, authority


def login(address: str, config: RegistryConfig) -> None:
    with Registry(config, Credentials(), policy=QUICK) as registry:
        registry.check_login(address, Password("anna", "hush"))


def copy_pair(issued: Issued, folder: Path, name: str = "client") -> None:
    folder.joinpath(f"{name}.cert").write_bytes(issued.cert.read_bytes())
    folder.joinpath(f"{name}.key").write_bytes(issued.key.read_bytes())


def test_a_registry_that_wants_a_client_certificate_gets_it(tmp_path: Path) -> None:
    with guarded_registry(tmp_path) as (address, authority):
        client = authority.issue("client")
        folder = folder_with(tmp_path, host=address)
        folder.joinpath("own.crt").write_bytes(authority.own.cert.read_bytes())
        in_folders = RegistryConfig(certificate_folders=(str(tmp_path / "certs.d"),))
        with pytest.raises(RegistryError, match=r"wants a client certificate .*keypair"):
            login(address, in_folders)
        copy_pair(Authority.make(tmp_path / "stranger").issue("client"), folder)
        with pytest.raises(RegistryError, match=r"wants? a client certificate"):
            login(address, in_folders)
        copy_pair(client, folder)
        login(address, in_folders)
        pair = KeyPair(str(client.cert), str(client.key))
        in_file = RegistryConfig({address: HostConfig(ca=(str(authority.own.cert),), pairs=(pair,))})
        login(address, in_file)
        with Registry(in_file, Credentials(), policy=QUICK) as registry, pytest.raises(Unauthorized):
            registry.check_login(address, Password("anna", "wrong"))


def test_the_configuration_file_names_the_pair(tmp_path: Path) -> None:
    with guarded_registry(tmp_path) as (address, authority):
        authority.issue("client")
        (tmp_path / "config.toml").write_text(f"""\
[registry."{address}"]
ca = ["ca/authority.pem"]
[[registry."{address}".keypair]]
key = "ca/client-key.pem"
cert = "ca/client.pem"
""")
        login(address, RegistryConfig.load(str(tmp_path / "config.toml")))


def test_of_two_client_certificates_the_first_is_shown(tmp_path: Path) -> None:
    with guarded_registry(tmp_path) as (address, authority):
        good, bad = authority.issue("client"), Authority.make(tmp_path / "stranger").issue("client")
        pairs = [KeyPair(str(issued.cert), str(issued.key)) for issued in (good, bad)]
        ca = (str(authority.own.cert),)
        login(address, RegistryConfig({address: HostConfig(ca=ca, pairs=tuple(pairs))}))
        with pytest.raises(RegistryError):
            login(address, RegistryConfig({address: HostConfig(ca=ca, pairs=tuple(reversed(pairs)))}))


@pytest.mark.parametrize("fault", ["missing", "nonsense", "of another", "encrypted"])
def test_a_pair_that_cannot_be_used_is_named(tmp_path: Path, fault: str) -> None:
    authority = Authority.make(tmp_path / "ca")
    client, other = authority.issue("client"), authority.issue("other")
    key = tmp_path / "key.pem"
    match fault:
        case "nonsense":
            key.write_text("hello")
        case "of another":
            key.write_bytes(other.key.read_bytes())
        case "encrypted":
            command = [require_peer("openssl"), "ec", "-aes256", "-passout", "pass:x", "-in", str(client.key)]
            subprocess.run([*command, "-out", str(key)], check=True, capture_output=True)
    config = RegistryConfig({"127.0.0.1:1": HostConfig(pairs=(KeyPair(str(client.cert), str(key)),))})
    with pytest.raises(ConfigError, match=r"client\.pem, .*key\.pem: no usable client certificate"):
        login("127.0.0.1:1", config)
