"""``ocibuild build --check`` and ``--call``, typed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ocibuild.cli.check import Call, parse_call

_CHECKOUT = Path(__file__).parents[3]
WRONG = "FROM scratch AS Up\n\nENV a b\nCMD c \\\n  d\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    path.mkdir()
    (path / "Dockerfile").write_text(WRONG)
    return path


def ocibuild(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocibuild", "build", "--progress=plain", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(_CHECKOUT)},
        input=stdin,
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_is_found_is_shown_with_its_lines(folder: Path) -> None:
    done = ocibuild(folder, "--check", "app")
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout == (
        "Check complete, 3 warnings have been found!\n"
        "\n"
        "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n"
        "Stage name 'Up' should be lowercase\n"
        "app/Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM scratch AS Up\n"
        "   2 |\n"
        "   3 |     ENV a b\n"
        "--------------------\n"
        "\n"
        "WARNING: LegacyKeyValueFormat - https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/\n"
        '"ENV key=value" should be used instead of legacy "ENV key value" format\n'
        "app/Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM scratch AS Up\n"
        "   2 |\n"
        "   3 | >>> ENV a b\n"
        "   4 |     CMD c \\\n"
        "   5 |       d\n"
        "--------------------\n"
        "\n"
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "app/Dockerfile:4\n"
        "--------------------\n"
        "   3 |     ENV a b\n"
        "   4 | >>> CMD c \\\n"
        "   5 | >>>   d\n"
        "   6 |\n"
        "--------------------\n"
    )


def test_a_single_warning_is_one(folder: Path) -> None:
    done = ocibuild(folder, "--check", "-f", "-", "app", stdin="FROM scratch\nCMD a\n")
    assert done.stdout.startswith("Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended - ")
    assert "\nDockerfile:2\n" in done.stdout


@pytest.mark.parametrize("words", [["--check"], ["--call=check"], ["--call=lint"], ["--check", "--call=check"]])
def test_where_nothing_is_found_it_says_so(folder: Path, words: list[str]) -> None:
    done = ocibuild(folder, *words, "-f", "-", "app", stdin="FROM scratch\nCOPY . /\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Check complete, no warnings found.\n", "")


@pytest.mark.parametrize("words", [["--check", "--format=json"], ["--call=check,format=json"]])
def test_what_is_found_is_json_for_programs(folder: Path, words: list[str]) -> None:
    done = ocibuild(folder, *words, "app")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["warnings"][2] == {
        "ruleName": "JSONArgsRecommended",
        "description": (
            "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
        ),
        "url": "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
        "detail": "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        "location": {"ranges": [{"start": {"line": n}, "end": {"line": n}} for n in (4, 5)]},
    }
    assert document["sources"] == [
        {"filename": "Dockerfile", "data": base64.b64encode(WRONG.encode()).decode(), "language": "Dockerfile"}
    ]
    assert "buildError" not in document


def test_json_without_findings_says_null(folder: Path) -> None:
    done = ocibuild(folder, "--check", "--format=json", "-f", "-", "app", stdin="FROM scratch\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)["warnings"] is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("FROM scratch\nMAINTAINER a\nCOPPY b c\nCMD d\n", 3, "unknown instruction COPPY (did you mean COPY?)"),
        ("FROM scratch\nMAINTAINER a\nUSER ${b:?c}\nCMD d\n", 3, "b: c"),
    ],
    ids=["syntax", "conversion"],
)
def test_an_error_comes_after_what_was_found_before_it(folder: Path, text: str, line: int, message: str) -> None:
    done = ocibuild(folder, "--check", "--format=json", "-f", "-", "app", stdin=text)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert "MaintainerDeprecated" in {warning["ruleName"] for warning in document["warnings"]}
    assert "JSONArgsRecommended" not in {warning["ruleName"] for warning in document["warnings"]}
    assert document["buildError"]["location"] == {"ranges": [{"start": {"line": line}, "end": {"line": line}}]}
    assert document["buildError"]["message"].endswith(message)
    assert done.stderr.startswith(f"ocibuild: Dockerfile:{line}: ")


def test_findings_can_be_errors(folder: Path) -> None:
    (folder / "Dockerfile").write_text(f"# check=error=true\n{WRONG}")
    message = "ocibuild: lint violation found for rules: StageNameCasing, LegacyKeyValueFormat, JSONArgsRecommended"
    for words in (["--check"], ["--call=outline"], []):
        done = ocibuild(folder, *words, "app")
        assert done.returncode == 1
        assert message in done.stderr
    assert ocibuild(folder, "--call=targets", "app").returncode == 0


def test_the_exit_status_can_be_ignored(folder: Path) -> None:
    done = ocibuild(folder, "--call=check,ignorestatus=true", "app")
    assert done.returncode == 0
    assert "3 warnings" in done.stdout


def test_a_build_warns_and_goes_on(folder: Path) -> None:
    done = ocibuild(folder, "app")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if line.startswith("WARNING")] == [
        "WARNING: app/Dockerfile:1: StageNameCasing: Stage name 'Up' should be lowercase",
        (
            'WARNING: app/Dockerfile:3: LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy '
            '"ENV key value" format'
        ),
        (
            "WARNING: app/Dockerfile:4: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended "
            "behavior related to OS signals"
        ),
    ]


def test_what_the_context_lacks_is_known(folder: Path) -> None:
    (folder / ".dockerignore").write_text("sub\n*.md\n!kept.md\n")
    text = "# check=experimental=all\nFROM scratch\nCOPY sub/ ./sub/a kept.md ./b.md c.md /d/\n"
    done = ocibuild(folder, "--check", "--format=json", "-f", "-", "app", stdin=text)
    details = [warning["detail"].split('"')[1] for warning in json.loads(done.stdout)["warnings"]]
    assert details == ["sub/", "./sub/a", "c.md"]


GIVEN = """\
# v is the version
ARG v=1
FROM scratch AS base
# final is built
FROM base AS final
ARG v
ARG longer-name=2
"""


def test_an_outline_is_a_table_or_json(folder: Path) -> None:
    (folder / "Dockerfile").write_text(GIVEN)
    done = ocibuild(folder, "--call=outline", "app")
    assert done.stdout == (
        "TARGET:      final\n"
        "DESCRIPTION: is built\n"
        "\n"
        "BUILD ARG     VALUE   DESCRIPTION\n"
        "v             1       is the version\n"
        "longer-name   2\n"
        "\n"
    )
    document = json.loads(ocibuild(folder, "--call=outline,format=json", "app").stdout)
    assert document == {
        "name": "final",
        "description": "is built",
        "args": [
            {
                "name": "v",
                "description": "is the version",
                "value": "1",
                "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
            },
            {
                "name": "longer-name",
                "value": "2",
                "location": {"ranges": [{"start": {"line": 7}, "end": {"line": 7}}]},
            },
        ],
        "sources": [base64.b64encode(GIVEN.encode()).decode()],
    }


def test_an_outline_of_nothing_is_empty(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\n")
    assert ocibuild(folder, "--call=outline", "app").stdout == ""


def test_targets_are_a_table_or_json(folder: Path) -> None:
    (folder / "Dockerfile").write_text(GIVEN)
    done = ocibuild(folder, "--call=targets", "app")
    assert done.stdout == "TARGET          DESCRIPTION\nbase\nfinal (default) is built\n"
    document = json.loads(ocibuild(folder, "--call=targets", "--format=json", "app").stdout)
    assert document["targets"] == [
        {
            "name": "base",
            "base": "scratch",
            "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}]},
        },
        {
            "name": "final",
            "default": True,
            "description": "is built",
            "base": "base",
            "location": {"ranges": [{"start": {"line": 5}, "end": {"line": 5}}]},
        },
    ]


def test_control_characters_do_not_reach_the_terminal(folder: Path) -> None:
    done = ocibuild(folder, "--check", "-f", "-", "app", stdin="FROM scratch AS Up\nLABEL a=\x1b[31mred\n")
    assert "a=?[31mred" in done.stdout


@pytest.mark.parametrize(
    ("text", "check", "form", "expected"),
    [
        ("build", False, None, Call()),
        ("", False, None, Call()),
        ("build", True, None, Call("check")),
        ("check", True, "json", Call("check", "json")),
        ("outline,format=json", False, None, Call("outline", "json")),
        ("targets,format=json", False, "text", Call("targets", "text")),
        ("lint,ignorestatus", False, None, Call("check", ignore_status=True)),
    ],
)
def test_a_call_is_read(text: str, check: bool, form: str | None, expected: Call) -> None:
    assert parse_call(text, check=check, form=form) == expected


@pytest.mark.parametrize(
    ("text", "check", "form", "message"),
    [
        ("nothing", False, None, "--call nothing: no such method"),
        ("outline", True, None, "--check and --call outline are two methods"),
        ("check,format=xml", False, None, "--call format=xml: use format=text"),
        ("check,other", False, None, "--call other: use format=text"),
        ("build", False, "json", "--format is for --check, --call and --dry-run"),
    ],
)
def test_a_wrong_call_is_refused(text: str, check: bool, form: str | None, message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        parse_call(text, check=check, form=form)
