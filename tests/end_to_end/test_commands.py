"""What the commands print, and the files they write."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lab import LONELY
from tests.support.peers import require_root

if TYPE_CHECKING:
    from tests.support.program import Program

TEXT = """\
FROM {base}
LABEL org.example.of=test
ENV WHO=world
RUN echo made > /made
CMD ["sh", "-c", "echo hello $WHO"]
"""
HEAVY = {"requests", "jsonschema", "rich", "zstandard", "asyncio", "tarfile", "http.client", "urllib.request"}


@pytest.fixture(scope="module")
def image(shared: Program, busybox_base: str) -> str:
    """Build the image ``commands:1`` and return its ID."""
    context = shared.context("commands", {"Dockerfile": TEXT.format(base=busybox_base)})
    return shared.check("build", "-q", "-t", "commands:1", context).strip()


@pytest.fixture
def context(shared: Program) -> str:
    return str(shared.user.home / "commands")


def test_quiet_prints_the_image_id_alone(shared: Program, image: str, context: str) -> None:
    result = shared.run("build", "-q", context)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", result.stdout)
    assert result.stdout == f"{image}\n"
    assert result.stderr == ""


def test_files_of_a_build(shared: Program, image: str, context: str) -> None:
    ids, metadata = shared.user.home / "id", shared.user.home / "metadata.json"
    shared.check("build", "-q", "-t", "commands:1", "--iidfile", ids, "--metadata-file", metadata, context)
    assert ids.read_text() == image
    document = json.loads(metadata.read_text())
    assert document["containerimage.config.digest"] == image
    assert document["containerimage.digest"] == document["containerimage.descriptor"]["digest"]
    assert document["image.name"] == "docker.io/library/commands:1"


def test_no_id_of_an_earlier_build_is_left_where_one_fails(shared: Program) -> None:
    ids = shared.user.home / "stale"
    ids.write_text("sha256:0123")
    shared.user.give(ids)
    context = shared.context("failing", {"Dockerfile": "FROM scratch\nCOPY absent /\n"})
    assert shared.try_build(context, "--iidfile", ids).status == 1
    assert not ids.exists()


def test_inspect_shows_what_docker_shows(shared: Program, image: str) -> None:
    shown = _inspect(shared, "commands:1")
    assert shown["Id"] == image
    assert shown["Config"]["Env"][-1] == "WHO=world"
    assert shown["Config"]["Labels"] == {"org.example.of": "test"}
    assert "commands:1" in shown["RepoTags"]
    assert len(shown["RootFS"]["Layers"]) == 2
    for name in (image, image.removeprefix("sha256:")[:12], "docker.io/library/commands:1"):
        assert _inspect(shared, name)["Id"] == image


def _inspect(program: Program, name: str) -> dict[str, Any]:
    (document,) = json.loads(program.check("inspect", name))
    found: dict[str, Any] = document
    return found


def test_tag_gives_one_more_name(shared: Program, image: str) -> None:
    shared.check("tag", "commands:1", "registry.example/team/other:2")
    assert _inspect(shared, "registry.example/team/other:2")["Id"] == image
    rows = [line.split() for line in shared.check("images").splitlines()]
    assert rows[0][:4] == ["REPOSITORY", "TAG", "IMAGE", "ID"]
    assert ["registry.example/team/other", "2", image[7:19]] in [row[:3] for row in rows]
    assert ["commands", "1", image[7:19]] in [row[:3] for row in rows]
    assert image[7:19] in shared.check("images", "-q").split()
    parsed = [json.loads(line) for line in shared.check("images", "--format", "json", "--no-trunc").splitlines()]
    assert image in [row["ID"] for row in parsed if row["Repository"] == "commands"]


def test_history_is_newest_first(shared: Program, image: str, busybox_base: str) -> None:
    rows = [json.loads(line) for line in shared.check("history", "--format", "json", "commands:1").splitlines()]
    assert [row["CreatedBy"] for row in rows] == [
        'CMD ["sh" "-c" "echo hello $WHO"]',
        "RUN /bin/sh -c echo made > /made # buildkit",
        "ENV WHO=world",
        "LABEL org.example.of=test",
        "busybox-static",
    ]
    assert rows[0]["ID"] == image[7:19]
    table = shared.check("history", "commands:1").splitlines()
    assert table[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert len(table) == 6


def test_unknown_image_is_one_line(shared: Program) -> None:
    for words in (
        ["inspect", "absent"],
        ["history", "absent"],
        ["tag", "absent", "x"],
        ["run", "--pull", "never", "absent"],
        ["logs", "absent"],
        ["commit", "absent"],
        ["rm", "absent"],
        ["push", "absent"],
    ):
        result = shared.run(*words)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("ocibuild: ")
        assert "absent" in line


def test_run_is_as_in_docker(shared: Program, image: str) -> None:
    assert shared.check("run", "commands:1") == "hello world\n"
    assert shared.check("run", "-e", "WHO=you", "commands:1") == "hello you\n"
    assert shared.check("run", "--entrypoint", "echo", "commands:1", "-n", "x") == "x"
    assert shared.check("run", "-w", "/tmp", "-u", "app", "commands:1", "sh", "-c", "pwd; id -un") == "/tmp\napp\n"
    assert shared.check("run", "-i", "commands:1", "cat", stdin="typed\n") == "typed\n"
    assert shared.run("run", "commands:1", "sh", "-c", "exit 7").returncode == 7
    shared.check("run", "commands:1", "touch", "/changed")
    assert shared.run("run", "commands:1", "test", "-e", "/changed").returncode == 1


def test_pull_and_push(shared: Program, image: str, registry: str) -> None:
    pushed = shared.check("push", "-q", "commands:1", f"{registry}/commands/pushed:1").strip()
    digest = _inspect(shared, "commands:1")["Descriptor"]["digest"]
    assert pushed == f"{registry}/commands/pushed@{digest}"
    pulled = shared.check("--root", shared.user.home / "other", "pull", "-q", f"{registry}/commands/pushed:1").strip()
    assert pulled == pushed
    assert shared.check("--root", shared.user.home / "other", "run", f"{registry}/commands/pushed:1") == "hello world\n"
    assert shared.run("pull", f"{registry}/commands/absent:1").returncode == 1


def test_context_variables_and_dockerfile_from_stdin(shared: Program, busybox_base: str, image: str) -> None:
    context = shared.context("stdin", {"file": "content"})
    text = (
        f"FROM {busybox_base}\nARG WORD\nARG OTHER=none\nCOPY file /file\nRUN echo $(cat /file) $WORD $OTHER > /said\n"
    )
    words = ("build", "-q", "-f", "-", "--build-arg", "WORD", "--build-arg", "OTHER=more", "-t", "stdin")
    result = shared.run(*words, context, stdin=text, environ={"WORD": "from-environment"})
    assert result.returncode == 0, result.stderr
    assert shared.check("run", "stdin", "cat", "/said") == "content from-environment more\n"


def test_global_flags_are_variables_too(shared: Program, image: str) -> None:
    elsewhere = str(shared.user.home / "by-variable")
    assert shared.run("images", "-q", environ={"OCIBUILD_ROOT": elsewhere}).stdout == ""
    assert os.path.isdir(elsewhere)
    result = shared.run("images", "-q", environ={"XDG_DATA_HOME": str(shared.user.home / ".local/share")})
    assert image[7:19] in result.stdout


def test_module_is_the_same_as_the_program(shared: Program, image: str, context: str) -> None:
    python = shared.user.programs / "python"
    for words in (["version"], ["--help"], ["build", "--help"], ["build", "-q", context], ["build"], ["images", "-q"]):
        as_module = shared.user.run(python, "-m", "ocibuild", *words)
        as_program = shared.run(*words)
        assert (as_module.returncode, as_module.stdout) == (as_program.returncode, as_program.stdout)
        assert as_module.stderr == as_program.stderr


def test_cached_build_imports_nothing_it_does_not_use(shared: Program, image: str, context: str) -> None:
    python = shared.user.programs / "python"
    result = shared.user.run(python, "-X", "importtime", "-m", "ocibuild", "build", "-t", "commands:1", context)
    imported = {
        line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")
    }
    assert result.stdout == f"{image}\n"
    assert "ocibuild.solver.solve" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize("words", [["version"], ["--help"], ["images"]])
def test_small_commands_start_fast(words: list[str], shared: Program, image: str) -> None:
    result = shared.user.run(shared.user.programs / "python", "-X", "importtime", "-m", "ocibuild", *words)
    imported = {
        line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")
    }
    assert not imported & (HEAVY | {"ocibuild.solver.solve", "ocibuild.dockerfile.parser.parse", "ctypes"})


DOCTOR_KEYS = [
    "possible",
    "row",
    "executor",
    "namespaces",
    "snapshotter",
    "ids",
    "owners_recorded",
    "why",
    "better",
    "checks",
]
CHECK_KEYS = ["name", "passed", "evidence", "remedy", "value"]


def test_doctor_says_what_a_build_uses(shared: Program) -> None:
    document = json.loads(shared.check("doctor", "--format", "json"))
    assert list(document) == DOCTOR_KEYS
    assert document["row"] == document["ids"].replace("all", "root")
    assert (document["executor"], document["namespaces"], document["snapshotter"]) == ("chroot", True, "overlay")
    assert {tuple(check) for check in document["checks"]} == {tuple(CHECK_KEYS)}


def test_doctor_shows_a_line_for_each_check_and_then_the_choice(shared: Program) -> None:
    document = json.loads(shared.check("doctor", "--format", "json"))
    checks, _, chosen = shared.check("doctor").partition("\n\n")
    found = [(line[:2], line[4:].partition(":")[0]) for line in checks.splitlines()]
    assert found == [("ok" if check["passed"] else "no", check["name"]) for check in document["checks"]]
    assert f"row: {document['row']}\nexecutor: chroot, in namespaces\nsnapshotter: overlay\n" in chosen


def test_doctor_fails_where_what_was_asked_for_cannot_be(shared: Program) -> None:
    result = shared.run("doctor", "--executor", "proot", "--snapshotter", "overlay")
    assert result.returncode == 1
    assert "executor: none: no RUN is possible here\n" in result.stdout


@pytest.mark.parametrize("environ", [{}, {"HOME": "/proc"}], ids=["no-home", "closed-home"])
def test_doctor_needs_neither_name_nor_home(environ: dict[str, str], shared: Program) -> None:
    require_root()
    program = shared.user.programs / "ocibuild"
    result = subprocess.run(
        [program, "doctor"], user=LONELY, group=LONELY, extra_groups=[], cwd="/", env=environ,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "\nno  store: " in result.stdout
    assert "(name a folder that this user may write to: --root DIR, or OCIBUILD_ROOT=DIR)" in result.stdout
    assert "\nbut: no RUN is possible before there is a store\n" in result.stdout
    assert result.stderr == ""


def test_rawjson_progress_is_one_document_a_line(shared: Program, image: str, context: str) -> None:
    result = shared.run("build", "--progress", "rawjson", "--no-cache", context)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert events
    assert result.stdout.startswith("sha256:")


def test_no_cache_runs_every_step(shared: Program, image: str, context: str) -> None:
    built = shared.build(context, "--no-cache")
    assert built.ran("RUN") == ["[2/2] RUN echo made > /made"]
    assert shared.build(context).cached("RUN") == ["[2/2] RUN echo made > /made"]


def test_pull_flag_sees_that_the_base_has_moved(shared: Program, registry: str, image: str) -> None:
    moving = f"{registry}/moving/base:latest"
    context = shared.context("moving", {"Dockerfile": f"FROM {moving}\nRUN ls / && echo ran\n"})
    shared.check("push", "-q", "commands:1", moving)
    shared.build(context)
    two = shared.context("two", {"Dockerfile": "FROM commands:1\nRUN touch /moved\n"})
    shared.check("build", "-q", "-t", "commands:2", two)
    shared.check("push", "-q", "commands:2", moving)
    assert not shared.build(context).ran()
    assert "moved" in shared.build(context, "--pull").output
    shared.check("push", "-q", "commands:1", moving)


def test_image_of_the_store_is_a_base(shared: Program, image: str) -> None:
    """No registry is asked for what was built here."""
    context = shared.context("local", {"Dockerfile": "FROM commands:1\nRUN cat /made\n"})
    assert shared.build(context).output == ["made"]


def test_copied_file_that_only_has_another_time_stays_cached(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nCOPY file /file\nRUN cat /file\n"
    context = shared.context("times", {"Dockerfile": text, "file": "one"})
    shared.build(context)
    os.utime(context / "file", (1_000_000_000, 1_000_000_000))
    assert not shared.build(context).ran()
    (context / "file").write_text("two")
    os.utime(context / "file", (1_000_000_000, 1_000_000_000))
    assert shared.build(context).output == ["two"]
    (context / "file").chmod(0o755)
    assert len(shared.build(context).ran()) == 2
