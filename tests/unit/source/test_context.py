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


def test_errors_call_a_named_context_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the build context 'lib' '.*missing' does not exist"):
        LocalContext.open(str(tmp_path / "missing"), what="the build context 'lib'")
    with (
        LocalContext.open(str(tmp_path), what="the build context 'lib'") as context,
        context.again() as other,
        pytest.raises(SourceError, match="the build context 'lib'"),
    ):
        other.select(["nothing"])


def test_the_rules_beside_a_strange_dockerfile_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "outside").write_text("*")
    (tmp_path / "context/Dockerfile.dockerignore").symlink_to("../outside")
    (tmp_path / "context/outside").write_text("b")
    (tmp_path / "context/a").touch()
    (tmp_path / "context/b").touch()
    with LocalContext.open(str(tmp_path / "context"), inside="Dockerfile") as context:
        assert [selected.name for selected in context.select(["?"])] == ["a"]


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
