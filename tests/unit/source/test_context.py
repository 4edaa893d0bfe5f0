from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceError
from ocibuild.source import LocalContext

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_opened_with_its_rules(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    (tmp_path / ".dockerignore").write_text("b")
    with LocalContext.open(str(tmp_path)) as context:
        assert [selected.name for selected in context.select(["*"])] == [".dockerignore", "a"]
        with pytest.raises(SourceError, match=r"'b' in the build context is excluded by \.dockerignore"):
            context.select(["b"])
    assert context.root.fd == -1


def test_the_dockerfile_may_have_rules_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / ".dockerignore").write_text("a")
    (tmp_path / "Dockerfile.dockerignore").write_text("# nothing")
    with LocalContext.open(str(tmp_path), dockerfile=str(tmp_path / "Dockerfile")) as context:
        assert [selected.name for selected in context.select(["a"])] == ["a"]
        assert context.excluded is None


def test_the_folder_is_looked_at_anew_for_each_selection(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_text("x")
    with LocalContext.open(str(tmp_path)) as context:
        context.select(["d/old"])
        (tmp_path / "d").rename(tmp_path / "e")
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "new").write_text("x")
        assert [selected.name for selected in context.select(["d/*"])] == ["d/new"]


def test_a_context_is_opened_again_for_another_thread(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("x")
    (tmp_path / "a" / ".dockerignore").write_text("c")
    (tmp_path / "a" / "c").write_text("x")
    with LocalContext.open(str(tmp_path / "a")) as context:
        (tmp_path / "a").rename(tmp_path / "moved")
        with context.again() as other:
            assert other.root.fd != context.root.fd
            assert [selected.name for selected in other.select(["?"])] == ["b"]
        assert [selected.name for selected in context.select(["?"])] == ["b"]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing' does not exist"):
        LocalContext.open(str(tmp_path / "missing"))


def test_a_file_is_no_context(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    with pytest.raises(SourceError, match=r"is not a folder.*--file"):
        LocalContext.open(str(tmp_path / "Dockerfile"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("-", "standard input"),
        ("https://host.example/repo.git#main:sub", "Git repository"),
        ("https://host.example/repo.git", "Git repository"),
        ("git://host.example/repo", "Git repository"),
        ("git@host.example:repo", "Git repository"),
        ("ssh://git@host.example/repo", "Git repository"),
        ("github.com/user/repo", "Git repository"),
        ("https://host.example/context.tar.gz", "URL"),
        ("http://host.example/", "URL"),
        ("ftp://host.example/", "URL"),
    ],
)
def test_other_kinds_of_context_are_refused_by_name(path: str, kind: str) -> None:
    with pytest.raises(SourceError, match=f"{kind}.*not supported yet.*give its folder"):
        LocalContext.open(path)


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(SourceError) as caught:
        LocalContext.open("https://user:secret@host.example/repo.git")
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_named_like_a_url_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "github.com" / "user").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with LocalContext.open("github.com/user") as context:
        assert context.select(["*"]) == ()


def test_a_broken_rule_closes_the_folder_again(tmp_path: Path) -> None:
    import os

    (tmp_path / ".dockerignore").write_text("[")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Exception, match="dockerignore"):
        LocalContext.open(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
