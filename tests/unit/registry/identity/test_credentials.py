from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.errors import ConfigError
from ocibuild.registry.identity.credentials import Credentials, IdentityToken, Password, RegistryToken

if TYPE_CHECKING:
    from pathlib import Path

ANNA = base64.b64encode(b"anna:se:cret").decode()


def load(tmp_path: Path, document: Any, **environ: str) -> Credentials:
    (tmp_path / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return Credentials.load({"DOCKER_CONFIG": str(tmp_path), **environ})


def add_helper(tmp_path: Path, name: str, script: str) -> dict[str, str]:
    program = tmp_path / f"docker-credential-{name}"
    program.write_text(f'#!/bin/sh\necho "$1 $(cat)" >>{tmp_path}/asked\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("registry.example", "registry.example"),
        ("registry.example:5000", "registry.example:5000"),
        ("https://registry.example/v1/", "registry.example"),
        ("http://registry.example:5000/v2", "registry.example:5000"),
        ("registry.example/team", "registry.example"),
        ("Registry.Example", "registry.example"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "registry-1.docker.io"),
    ],
)
def test_a_password_is_found_by_host(tmp_path: Path, key: str, host: str) -> None:
    assert load(tmp_path, {"auths": {key: {"auth": ANNA}}}).for_host(host) == Password("anna", "se:cret")


@pytest.mark.parametrize("host", ["other.example", "registry.example:5000", "evil-registry.example", "example"])
def test_a_password_is_for_no_other_host(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, {"auths": {"registry.example": {"auth": ANNA}}}).for_host(host) is None


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        ({"auth": ANNA, "identitytoken": "t"}, IdentityToken("t")),
        ({"auth": base64.b64encode(b"anna:").decode()}, Password("anna", "")),
        ({"auth": base64.b64encode("änna:ü".encode()).decode()}, Password("änna", "ü")),
        ({"auth": "", "identitytoken": "t"}, IdentityToken("t")),
        ({"registrytoken": "t"}, RegistryToken("t")),
        ({"username": "u", "password": "p", "email": None}, Password("u", "p")),
        ({}, None),
    ],
    ids=["identity token", "no password", "letters", "token alone", "registry token", "plain", "empty"],
)
def test_every_kind_of_entry_is_read(tmp_path: Path, entry: dict[str, str], credential: object) -> None:
    assert load(tmp_path, {"auths": {"r.example": entry}}).for_host("r.example") == credential


def test_the_folder_of_the_file_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".docker").mkdir()
    load(tmp_path / ".docker", {"auths": {"r.example": {"auth": ANNA}}})
    assert Credentials.load({"DOCKER_CONFIG": ".docker"}).for_host("r.example") == Password("anna", "se:cret")
    assert Credentials.load({}).for_host("r.example") is None


def test_without_a_file_everybody_is_anonymous(tmp_path: Path) -> None:
    assert Credentials.load({"HOME": str(tmp_path)}).for_host("registry.example") is None


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    ours = json.dumps({"auths": {"r.example": {"username": "ci", "password": "x"}}})
    credentials = load(
        tmp_path, {"auths": {"r.example": {"auth": ANNA}, "s.example": {"auth": ANNA}}}, DOCKER_AUTH_CONFIG=ours
    )
    assert credentials.for_host("r.example") == Password("ci", "x")
    assert credentials.for_host("s.example") == Password("anna", "se:cret")


def test_a_helper_is_asked_once_for_a_host(tmp_path: Path) -> None:
    environ = add_helper(tmp_path, "safe", """echo '{"ServerURL":"x","Username":"u","Secret":"s"}'""")
    credentials = load(tmp_path, {"credsStore": "safe"}, **environ)
    assert credentials.for_host("r.example") == Password("u", "s")
    assert credentials.for_host("r.example") == Password("u", "s")
    assert credentials.for_host("registry-1.docker.io") == Password("u", "s")
    assert (tmp_path / "asked").read_text().splitlines() == ["get r.example", "get https://index.docker.io/v1/"]


def test_the_helper_of_a_host_comes_before_the_general_one(tmp_path: Path) -> None:
    environ = add_helper(tmp_path, "special", """echo '{"Username":"<token>","Secret":"refresh"}'""")
    credentials = load(tmp_path, {"credsStore": "missing", "credHelpers": {"r.example": "special"}}, **environ)
    assert credentials.for_host("r.example") == IdentityToken("refresh")


def test_a_helper_with_an_empty_name_is_none(tmp_path: Path) -> None:
    document = {"credsStore": "missing", "credHelpers": {"r.example": ""}, "auths": {"r.example": {"auth": ANNA}}}
    assert load(tmp_path, document).for_host("r.example") == Password("anna", "se:cret")


def test_a_helper_without_an_answer_leaves_the_file(tmp_path: Path) -> None:
    environ = add_helper(tmp_path, "empty", "echo credentials not found in native keychain; exit 1")
    credentials = load(tmp_path, {"credsStore": "empty", "auths": {"r.example": {"auth": ANNA}}}, **environ)
    assert credentials.for_host("r.example") == Password("anna", "se:cret")
    assert credentials.for_host("s.example") is None


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo the safe is locked; exit 1", "docker-credential-broken: the safe is locked"),
        ("exit 3", "docker-credential-broken: exit status 3"),
        ("echo hello", "has no Username and Secret"),
        ("echo '[]'", "has no Username and Secret"),
        ("echo", "has no Username and Secret"),
        ("head -c 3000000 /dev/zero; exit 1", "it answers with more than 1048576 bytes"),
        ("yes", "it answers with more than 1048576 bytes"),
        ("""echo '{"Username": "u", "Secret": 1}'""", "has no Username and Secret"),
    ],
)
def test_a_helper_that_fails_is_named(tmp_path: Path, script: str, complaint: str) -> None:
    environ = add_helper(tmp_path, "broken", script)
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, {"credsStore": "broken"}, **environ).for_host("r.example")


@pytest.mark.parametrize("name", ["missing", "../../bin/sh"])
def test_a_helper_that_cannot_be_run_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="docker-credential-"):
        load(tmp_path, {"credsStore": name}, PATH="/nowhere").for_host("r.example")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"auths": [1]}',
        '{"credsStore": 1}',
        '{"auths": {"r.example": "secret"}}',
        '{"auths": {"r.example": {"auth": "c2VjcmV0"}}}',
        '{"auths": {"r.example": {"auth": "secret%"}}}',
        '{"auths": {"r.example": {"auth": ["secret"]}}}',
    ],
)
def test_a_broken_file_is_named_and_its_secrets_are_not(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text).for_host("r.example")
    assert str(tmp_path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr([Password("u", "hush"), IdentityToken("hush"), RegistryToken("hush")])
