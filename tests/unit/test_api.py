from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocibuild.api import Session, Settings
from ocibuild.build import BuildRequest
from ocibuild.errors import NotInStore, OcibuildError, RegistryError, UsageError
from ocibuild.oci import Platform, Reference
from ocibuild.output import Kind, OutputSpec
from ocibuild.progress import Mode
from tests.support.isolated import isolated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.build import BuildResult, CheckReport, OutlineReport, TargetsReport


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\nLABEL a=b\n")
    (folder / "file").write_text("content")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Callable[[], Session]:
    return lambda: Session(Settings(str(tmp_path / "store"), progress=Mode.QUIET, stream=io.StringIO()))


def build(session: Callable[[], Session], context: Path, **options: object) -> BuildResult:
    request = BuildRequest(str(context), Platform.host(), **options)  # type: ignore[arg-type]

    def work() -> BuildResult:
        with session() as current:
            return current.build(request)

    return isolated(work)


def test_an_image_that_is_built_is_found_by_its_names_and_its_id(session: Callable[[], Session], context: Path) -> None:
    names = (Reference.parse("one"), Reference.parse("host.example/two:3"))
    result = build(session, context, tags=names)
    with session() as current:
        for name in ("one", "host.example/two:3", result.image_id, result.image_id.short):
            assert current.find(name).manifest.config.digest == result.image_id
        assert {str(listed.reference) for listed in current.images()} == {str(name) for name in names}
        assert sorted(current.inspect("one")["RepoTags"]) == ["host.example/two:3", "one:latest"]
        assert [row["CreatedBy"] for row in current.history("one")] == ["LABEL a=b", "COPY file / # buildkit"]


def test_an_image_without_a_name_is_kept(session: Callable[[], Session], context: Path) -> None:
    result = build(session, context)
    with session() as current:
        assert [listed.reference for listed in current.images()] == [None]
        assert current.find(result.image_id).descriptor.digest == result.descriptor.digest


def test_a_tag_is_one_more_name(session: Callable[[], Session], context: Path) -> None:
    result = build(session, context, tags=(Reference.parse("one"),))
    with session() as current:
        current.tag("one", Reference.parse("two"))
        assert current.find("two").descriptor.digest == result.descriptor.digest
        with pytest.raises(UsageError):
            current.tag("one", Reference.parse(f"two@{result.descriptor.digest}"))
        with pytest.raises(NotInStore):
            current.tag("missing", Reference.parse("two"))


def test_outputs_are_written_and_validated(session: Callable[[], Session], context: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    build(session, context, outputs=(OutputSpec(Kind.OCI, dest=str(path)),), tags=(Reference.parse("one"),))
    with session() as current:
        assert current.validate(str(path)).faults == ()
        assert current.validate("one").faults == ()
        with pytest.raises(NotInStore, match="neither a file or folder nor an image"):
            current.validate("missing")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b'"architecture"') + 1] ^= 1  # in the config
    path.write_bytes(damaged)
    with session() as current:
        assert current.validate(str(path)).faults


def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(
    session: Callable[[], Session], context: Path
) -> None:
    with pytest.raises(UsageError, match="without a name cannot be pushed"):
        build(session, context, outputs=(OutputSpec(Kind.REGISTRY, push=True),))


@pytest.mark.parametrize("work", ["pull", "push"])
def test_a_transfer_that_fails_is_told_as_a_step_that_failed(work: str, context: Path, tmp_path: Path) -> None:
    shown = io.StringIO()
    settings = Settings(str(tmp_path / "store"), progress=Mode.PLAIN, stream=shown)
    name = Reference.parse("127.0.0.1:1/nowhere")
    build(lambda: Session(replace(settings, stream=io.StringIO())), context, tags=(name,))
    with Session(settings) as current, pytest.raises(RegistryError):
        current.pull(name, Platform.host()) if work == "pull" else current.push(str(name), name)
    assert re.search(f"#1 ERROR: {name}: (sha256:[0-9a-f]+: )?cannot reach 127.0.0.1:1", shown.getvalue())


def test_errors_come_through_as_they_are(session: Callable[[], Session], context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    with pytest.raises(OcibuildError) as caught:
        build(session, context)
    assert caught.value.location is not None
    assert caught.value.location.first == 2


def test_a_session_that_does_nothing_touches_nothing(session: Callable[[], Session], tmp_path: Path) -> None:
    with session():
        pass
    assert not (tmp_path / "store").exists()


def test_a_dockerfile_is_checked_without_being_built(session: Callable[[], Session], context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch AS a\nENV b c\nARG d=1\nUSER ${e:?f}\n")
    request = BuildRequest(str(context), Platform.host())

    def work() -> tuple[CheckReport, TargetsReport, bool]:
        with session() as current:
            return current.check(request), current.targets(request), bool(current.images())

    report, targets, built = isolated(work)
    assert [(finding.rule.name, finding.location.first) for finding in report.findings] == [
        ("LegacyKeyValueFormat", 2),
        ("UndefinedVar", 4),
    ]
    assert report.error is not None
    assert report.error.message == "e: f"
    assert not report.clean
    assert [target.name for target in targets.targets] == ["a"]
    assert not built


def test_an_outline_says_what_a_build_can_be_given(session: Callable[[], Session], context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nARG d=1\n")
    request = BuildRequest(str(context), Platform.host(), build_args={"d": "2"})

    def work() -> OutlineReport:
        with session() as current:
            return current.outline(request)

    (argument,) = isolated(work).outline.arguments
    assert (argument.name, argument.value) == ("d", "2")


def test_a_copy_returns_the_digest_that_is_there(session: Callable[[], Session], context: Path, tmp_path: Path) -> None:
    build(session, context, tags=(Reference.parse("app"),))
    with session() as current:
        digest = current.copy("store:app", f"oci:{tmp_path}/layout:1")
        assert current.copy(f"oci:{tmp_path}/layout:1", "store:again", everything=True) == digest
        assert current.find("again").descriptor.digest == digest
        with pytest.raises(UsageError, match="is not a transport"):
            current.copy("app:1", "store:again")
