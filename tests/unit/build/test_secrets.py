from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.build import SecretSpec, entitlements, parse_secret
from ocibuild.build.secrets import Secrets
from ocibuild.errors import SourceError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

PARSED = {
    "id=a": SecretSpec("a"),
    "id=a,src=f": SecretSpec("a", path="f"),
    "id=a,source=f": SecretSpec("a", path="f"),
    "ID=a,Src=f": SecretSpec("a", path="f"),
    "id=a,env=V": SecretSpec("a", env="V"),
    "id=a,type=env,src=V": SecretSpec("a", env="V"),
    "id=a,type=env,env=V,src=f": SecretSpec("a", path="f", env="V"),
    "id=a,type=file,src=f": SecretSpec("a", path="f"),
    "id=a,type=env": SecretSpec("a"),
    "src=f=g,id=a": SecretSpec("a", path="f=g"),
    'id=a,"src=f,g"': SecretSpec("a", path="f,g"),
    "id=a,src=f,src=g": SecretSpec("a", path="g"),
}


@pytest.mark.parametrize(("text", "expected"), PARSED.items(), ids=PARSED)
def test_secret_is_parsed(text: str, expected: SecretSpec) -> None:
    assert parse_secret(text) == expected


WRONG = {
    "src=f": "--secret src=f: it has no id",
    "id=": "--secret id=: it has no id",
    "a": "--secret a: 'a' is not KEY=VALUE",
    "id=a,": "--secret id=a,: '' is not KEY=VALUE",
    "id=a,foo=b": "--secret id=a,foo=b: unknown key 'foo'",
    "id=a,type=x": "--secret id=a,type=x: unknown type 'x'",
    'id=a,src="f"': '--secret id=a,src="f": a stray double quote in \'id=a,src="f"\'',
    "": "--secret : an empty list of fields",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG)
def test_wrong_secret_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_secret(text)
    assert caught.value.message == message


def test_secret_comes_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"content\xff\n")
    (tmp_path / "name").write_bytes(b"of the name")
    specs = [
        SecretSpec("file", path="file"),
        SecretSpec("variable", env="V"),
        SecretSpec("both", path="file", env="V"),
        SecretSpec("name"),
        SecretSpec("NAMED"),
        SecretSpec("unset", env="NONE"),
        SecretSpec("twice", env="V"),
        SecretSpec("twice", path="file"),
    ]
    secrets = Secrets(specs, {"V": "value\udcff", "NAMED": "variable of the name"})
    assert {spec.id: secrets(spec.id) for spec in specs} == {
        "file": b"content\xff\n",
        "variable": b"value\xff",
        "both": b"value\xff",
        "name": b"of the name",
        "NAMED": b"variable of the name",
        "unset": b"",
        "twice": b"content\xff\n",
    }
    assert secrets("other") is None


def test_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("first")
    secrets = Secrets([SecretSpec("s", path=str(path))], {})
    path.write_text("second")
    assert secrets("s") == b"second"
    path.unlink()
    with pytest.raises(SourceError, match=r"secret s: .*No such file"):
        secrets("s")


@pytest.mark.parametrize("spec", [SecretSpec("s", path="/none/there"), SecretSpec("none-there")])
def test_missing_file_is_an_error_at_once(spec: SecretSpec) -> None:
    with pytest.raises(SourceError, match=rf"secret {spec.id}: .*none.there: No such file or directory"):
        Secrets([spec], {})


@pytest.mark.parametrize(("size", "fits"), [(500 << 10, True), ((500 << 10) + 1, False)])
def test_secret_has_500_kib_at_most(size: int, fits: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    secrets = Secrets([SecretSpec("s", path=str(path)), SecretSpec("v", env="V")], {"V": "x" * size})
    path.write_bytes(bytes(size))
    for name in ("s", "v"):
        if fits:
            assert len(secrets(name) or b"") == size
        else:
            with pytest.raises(SourceError, match=f"secret {name}: more than 500 KiB"):
                secrets(name)
    if not fits:
        with pytest.raises(SourceError, match="more than 500 KiB"):
            Secrets([SecretSpec("s", path=str(path))], {})


def test_entitlements_are_known_ones() -> None:
    assert entitlements([]) == frozenset()
    assert entitlements(["network.host,security.insecure", "network.host"]) == {"network.host", "security.insecure"}
    for name in ("nonsense", "network.host,device", ""):
        with pytest.raises(UsageError, match="unknown"):
            entitlements([name])
