from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.errors import ConfigError
from ocibuild.registry import Credentials, IdentityToken, Password, forget, keep
from tests.support.credential_helper import add_helper, add_store
from tests.support.peers import require_root

if TYPE_CHECKING:
    from pathlib import Path

HOST = "r.example:5000"
ANNA = Password("anna", "hush:ü")
HUB = "https://index.docker.io/v1/"


def environ_of(folder: Path) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(folder)}


def write(folder: Path, document: Any) -> Path:
    path = folder / "config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def read(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text())


def files_of(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def test_a_password_is_found_again(tmp_path: Path) -> None:
    kept = keep(environ_of(tmp_path), HOST, "anna", ANNA)
    assert (kept.path, kept.helper) == (str(tmp_path / "config.json"), "")
    assert Credentials.load(environ_of(tmp_path)).for_host(HOST) == ANNA
    assert files_of(tmp_path) == {"config.json", "config.json.lock"}


def test_an_identity_token_is_kept_as_docker_does(tmp_path: Path) -> None:
    keep(environ_of(tmp_path), HOST, "anna", IdentityToken("fresh"))
    assert read(tmp_path) == {"auths": {HOST: {"auth": "YW5uYTo=", "identitytoken": "fresh"}}}
    assert Credentials.load(environ_of(tmp_path)).for_host(HOST) == IdentityToken("fresh")


def test_docker_hub_is_kept_under_its_old_url(tmp_path: Path) -> None:
    keep(environ_of(tmp_path), "docker.io", "anna", ANNA)
    assert list(read(tmp_path)["auths"]) == [HUB]
    assert Credentials.load(environ_of(tmp_path)).for_host("registry-1.docker.io") == ANNA


def test_the_folder_is_made_at_home_for_the_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep({"HOME": str(tmp_path)}, HOST, "anna", ANNA)
    finally:
        os.umask(before)
    folder = tmp_path / ".docker"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in files_of(folder)} == {0o600}


def test_all_else_in_the_file_stays(tmp_path: Path) -> None:
    before = {
        "auths": {"s.example": {"auth": "eDp5", "email": "x@y"}, HOST: {"auth": "eDp5", "email": "gone"}},
        "credHelpers": {"t.example": "missing"},
        "HttpHeaders": {"X": "ü\ud800"},
        "psFormat": "{{.ID}}",
        "number": 12345678901234567890,
        "nothing": None,
    }
    path = write(tmp_path, before)
    path.chmod(0o644)
    keep(environ_of(tmp_path), HOST, "anna", Password("u", "p"))
    assert read(tmp_path) == {**before, "auths": {**before["auths"], HOST: {"auth": "dTpw"}}}  # type: ignore[dict-item]
    assert list(read(tmp_path)) == list(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    forget(environ_of(tmp_path), HOST)
    assert read(tmp_path) == {**before, "auths": {"s.example": {"auth": "eDp5", "email": "x@y"}}}


@pytest.mark.parametrize("exists", [True, False], ids=["a file", "nothing yet"])
def test_a_symbolic_link_stays_one(tmp_path: Path, exists: bool) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    (linked / "config.json").symlink_to("../real/other.json")
    if exists:
        (real / "other.json").write_text('{"psFormat": "x"}')
    keep(environ_of(linked), HOST, "anna", ANNA)
    assert os.readlink(linked / "config.json") == "../real/other.json"
    assert HOST in json.loads((real / "other.json").read_text())["auths"]
    assert files_of(linked) == {"config.json"}
    assert forget(environ_of(linked), HOST)
    assert os.readlink(linked / "config.json") == "../real/other.json"


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', '{"credHelpers": {"x": 1}}', "\xff"])
def test_a_file_that_is_not_dockers_is_left_alone(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        keep(environ_of(tmp_path), HOST, "anna", ANNA)
    assert path.read_text() == text


def test_without_a_home_there_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HOME is not set"):
        keep({}, HOST, "anna", ANNA)
    assert not forget({}, HOST)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file"):
        keep(environ_of(tmp_path / "file"), HOST, "anna", ANNA)
    assert not forget(environ_of(tmp_path / "file"), HOST)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(environ_of(tmp_path), HOST, "anna", ANNA)
    before = (tmp_path / "config.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="cannot be written: No space left"):
        keep(environ_of(tmp_path), "s.example", "anna", ANNA)
    assert (tmp_path / "config.json").read_bytes() == before
    assert files_of(tmp_path) == {"config.json", "config.json.lock"}


def test_root_leaves_a_users_file_to_the_user(tmp_path: Path) -> None:
    require_root()
    os.chown(tmp_path, 12345, 12346)
    keep(environ_of(tmp_path), HOST, "anna", ANNA)
    keep(environ_of(tmp_path), "s.example", "anna", ANNA)
    owners = {((tmp_path / name).stat().st_uid, (tmp_path / name).stat().st_gid) for name in files_of(tmp_path)}
    assert owners == {(12345, 12346)}


def test_logins_at_a_time_lose_nothing(tmp_path: Path) -> None:
    program = """
import os, sys
from ocibuild.registry import Password, forget, keep
for number in range(10):
    keep(os.environ, f"{sys.argv[1]}-{number}.example", "u", Password("u", "p"))
    keep(os.environ, f"{sys.argv[1]}-gone.example", "u", Password("u", "p"))
    forget(os.environ, f"{sys.argv[1]}-gone.example")
"""
    environ = {**os.environ, **environ_of(tmp_path), "PYTHONPATH": os.getcwd()}
    running = [subprocess.Popen([sys.executable, "-c", program, name], env=environ) for name in "abc"]
    threads = [
        threading.Thread(target=keep, args=(environ_of(tmp_path), f"t{number}.example", "u", Password("u", "p")))
        for number in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in running] == [0, 0, 0]
    expected = {f"{name}-{number}.example" for name in "abc" for number in range(10)}
    assert set(read(tmp_path)["auths"]) == expected | {f"t{number}.example" for number in range(10)}
    assert files_of(tmp_path) == {"config.json", "config.json.lock"}


@pytest.mark.parametrize("document", [{"credsStore": "safe"}, {"credHelpers": {HOST: "safe"}, "credsStore": "missing"}])
@pytest.mark.parametrize("credential", [ANNA, IdentityToken("fresh")], ids=["password", "token"])
def test_a_helper_keeps_it_and_the_file_has_an_empty_entry(
    tmp_path: Path, document: dict[str, Any], credential: Password | IdentityToken
) -> None:
    environ = {**environ_of(tmp_path), **add_store(tmp_path, "safe")}
    write(tmp_path, {**document, "auths": {HOST: {"auth": "b2xkOm9sZA=="}}})
    kept = keep(environ, HOST, "anna", credential)
    assert kept.helper == "docker-credential-safe"
    assert read(tmp_path) == {**document, "auths": {HOST: {}}}
    assert Credentials.load(environ).for_host(HOST) == credential
    assert forget(environ, HOST)
    assert read(tmp_path) == {**document, "auths": {}}
    assert json.loads((tmp_path / "safe.json").read_text()) == {}
    assert not forget(environ, HOST)


def test_docker_hub_has_its_url_with_helpers_too(tmp_path: Path) -> None:
    environ = {**environ_of(tmp_path), **add_store(tmp_path, "safe")}
    write(tmp_path, {"credHelpers": {HUB: "safe"}})
    keep(environ, "docker.io", "anna", ANNA)
    assert Credentials.load(environ).for_host("registry-1.docker.io") == ANNA
    assert forget(environ, "docker.io")
    assert {line.split()[1] for line in (tmp_path / "asked").read_text().splitlines()} == {HUB}


def test_a_helper_that_fails_leaves_the_file(tmp_path: Path) -> None:
    environ = {**environ_of(tmp_path), **add_helper(tmp_path, "broken", "echo locked; exit 1")}
    path = write(tmp_path, {"credsStore": "broken"})
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="docker-credential-broken: locked"):
        keep(environ, HOST, "anna", ANNA)
    assert path.read_bytes() == before


def test_every_name_of_a_host_is_forgotten(tmp_path: Path) -> None:
    others: dict[str, Any] = {"s.example": {}, "r.example": {}, "r.example:5001": {}}
    names = (HOST, f"https://{HOST}", f"http://{HOST}/v1/", f"https://{HOST}/v2/")
    write(tmp_path, {"auths": {**others, **{name: {"auth": "eDp5"} for name in names}}})
    assert forget(environ_of(tmp_path), HOST)
    assert read(tmp_path) == {"auths": others}
    assert not forget(environ_of(tmp_path), HOST)
    assert not forget(environ_of(tmp_path), "docker.io")
