from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import ConfigError
from ocibuild.registry.configuration.config import RegistryConfig, is_loopback

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str) -> RegistryConfig:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return RegistryConfig.load(str(path))


def test_docker_hub_is_its_own_server_over_https() -> None:
    config = RegistryConfig.load(None)
    assert config.mirrors("docker.io") == ()
    endpoint = config.origin("docker.io")
    assert endpoint.base_url == "https://registry-1.docker.io"
    assert not endpoint.is_mirror


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000"])
def test_loopback_is_plain_http_without_configuration(host: str) -> None:
    assert is_loopback(host)
    assert RegistryConfig().origin(host).base_url == f"http://{host}"


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "128.0.0.1", "localhost.example.com", "[::2"])
def test_other_hosts_are_https(host: str) -> None:
    assert not is_loopback(host)
    assert RegistryConfig().origin(host).base_url == f"https://{host}"


@pytest.mark.parametrize("setting", ["http = false", "insecure = true", 'ca = ["a.pem"]'])
def test_loopback_is_https_where_the_file_speaks_of_tls(tmp_path: Path, setting: str) -> None:
    config = load(tmp_path, f'[registry."127.0.0.1:5000"]\n{setting}\n')
    assert config.origin("127.0.0.1:5000").base_url == "https://127.0.0.1:5000"


def test_mirrors_come_in_order_before_the_origin(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [registry."docker.io"]
          mirrors = ["127.0.0.1:5000", "mirror.example.com/hub/"]
        [registry."mirror.example.com"]
          http = true
          ca = ["ca.pem", "/etc/other.pem"]
        """,
    )
    first, second = config.mirrors("docker.io")
    origin = config.origin("docker.io")
    assert (first.base_url, first.is_mirror) == ("http://127.0.0.1:5000", True)
    assert (second.base_url, second.repository("library/alpine")) == ("http://mirror.example.com", "hub/library/alpine")
    assert second.ca == (str(tmp_path / "ca.pem"), "/etc/other.pem")
    assert (origin.host, origin.is_mirror) == ("registry-1.docker.io", False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[registry", "not TOML"),
        ("[registries]", "unknown key 'registries'"),
        ('[registry."a.example"]\ntoken = []', """unknown key 'registry."a.example".token'"""),
        ('[registry."a.example"]\nkeypair = {}', "keypair must be a list of tables"),
        ('[[registry."a.example".keypair]]\nkey = "k"', "must have `cert`"),
        ('[[registry."a.example".keypair]]\nkey = 1\ncert = "c"', "must have `key`"),
        ('[[registry."a.example".keypair]]\nca = "k"', """unknown key 'registry."a.example".keypair.ca'"""),
        ("registry = 1", "registry must be a table"),
        ('registry."a.example" = 1', """registry."a.example" must be a table"""),
        ('[registry."a.example"]\nhttp = "yes"', "http must be true or false"),
        ('[registry."a.example"]\nmirrors = "b.example"', "mirrors must be a list of strings"),
        ('[registry."a.example"]\nca = [1]', "ca must be a list of strings"),
        ('[registry."a.example"]\nmirrors = ["http://b.example"]', "'http://b.example' is not HOST"),
        ('[registry."a.example"]\nmirrors = ["/b"]', "'/b' is not HOST"),
    ],
)
def test_what_the_file_may_not_say_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert complaint in str(caught.value)
    assert str(tmp_path / "config.toml") in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        RegistryConfig.load(str(tmp_path / "nowhere.toml"))


def test_room_that_is_kept_is_a_size(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert RegistryConfig.load(None).keep_storage is None
    for text, size in (('"1.5kb"', 1536), ('"20GB"', 20 << 30), ("7", 7), ("0", 0)):
        path.write_text(f"[store]\nkeep-storage = {text}\n")
        assert RegistryConfig.load(str(path)).keep_storage == size
    for text in ('"much"', "-1", "true", "1.5", "[]"):
        path.write_text(f"[store]\nkeep-storage = {text}\n")
        with pytest.raises(ConfigError, match="keep-storage must be a size"):
            RegistryConfig.load(str(path))
    path.write_text("[store]\nkeep = 1\n")
    with pytest.raises(ConfigError, match=r"unknown key 'store\.keep'"):
        RegistryConfig.load(str(path))


def test_proot_is_named_beside_the_file_or_by_a_whole_path(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert RegistryConfig.load(None).proot is None
    path.write_text('[build]\nproot = "bin/proot"\n')
    assert RegistryConfig.load(str(path)).proot == str(tmp_path / "bin/proot")
    path.write_text('[build]\nproot = "/opt/proot"\n')
    assert RegistryConfig.load(str(path)).proot == "/opt/proot"
    for text, message in (("proot = 1", "build.proot must be a path"), ("x = 1", "unknown key 'build.x'")):
        path.write_text(f"[build]\n{text}\n")
        with pytest.raises(ConfigError, match=message):
            RegistryConfig.load(str(path))
