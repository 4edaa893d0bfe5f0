"""A cache that says why, a build that is only planned, and steps that change the same as before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

TEXT = """\
FROM {base} AS builder
ENV VERSION={version}
COPY app/ /src/
RUN cat /src/* > /out # {comment}
FROM {base}
COPY --from=builder /out /out
RUN cp /out /copy
"""


def _context(
    program: Program, base: str, *, version: str = "1", comment: str = "one", files: dict[str, str] | None = None
) -> Path:
    text = TEXT.format(base=base, version=version, comment=comment)
    return program.context("app", {"Dockerfile": text, **(files or {"app/main": "main\n", "app/other": "other\n"})})


def _plan(program: Program, context: Path, *words: str) -> list[str]:
    return program.check("build", "--dry-run", "--progress", "quiet", *words, context).splitlines()


def _fates(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def _layers(program: Program, name: str) -> list[str]:
    inspected: list[Any] = json.loads(program.check("inspect", name))
    return list(inspected[0]["RootFS"]["Layers"])


def test_an_edited_step_with_the_same_result_runs_and_nothing_after_it(ocibuild: Program, busybox_base: str) -> None:
    text = "FROM {base}\nRUN {first}\nRUN cp /x /y\nRUN cp /y /z\n"
    before = {"Dockerfile": text.format(base=busybox_base, first="echo x > /x")}
    after = {"Dockerfile": text.format(base=busybox_base, first="printf 'x\\n' > /x")}
    ocibuild.build(ocibuild.context("cut", before), "-t", "before")
    blobs = {path.name for path in (ocibuild.store / "blobs/sha256").iterdir()}
    built = ocibuild.build(ocibuild.context("cut", after), "-t", "after")
    assert [label.partition("] ")[2] for label in built.ran()] == ["RUN printf 'x\\n' > /x"]
    assert len(built.cached("RUN cp")) == 2
    assert _layers(ocibuild, "after") == _layers(ocibuild, "before")
    new = {path.name for path in (ocibuild.store / "blobs/sha256").iterdir()} - blobs
    assert len(new) == 2, "the config and the manifest alone: no layer was packed again"
    assert ocibuild.check("run", "after", "cat", "/z") == "x\n"


def test_a_miss_is_explained_in_the_lines_of_its_step(ocibuild: Program, busybox_base: str) -> None:
    ocibuild.build(_context(ocibuild, busybox_base))
    changed = {"app/main": "changed\n", "app/other": "other\n"}
    built = ocibuild.build(_context(ocibuild, busybox_base, version="2", files=changed))
    reasons = [line.partition(" ")[2] for line in built.stderr.splitlines() if "not cached" in line]
    assert reasons == [
        "not cached: COPY app: app/main changed",
        "not cached: ENV VERSION: 1 to 2; parent: [builder 2/3] ran again",
        "not cached: [builder 3/3]: files changed",
        "not cached: parent: [stage-1 2/3] ran again",
    ]


def test_a_dry_run_says_what_a_build_would_do_and_does_nothing(ocibuild: Program, busybox_base: str) -> None:
    context = _context(ocibuild, busybox_base)
    assert _fates(_plan(ocibuild, context, "-t", "app")) == ["PULL", "RUN", "RUN", "RUN", "RUN"]
    assert ocibuild.check("images", "-q") == ""
    assert not (ocibuild.store / "index.json").exists(), "not even the base has a tag"
    assert list((ocibuild.store / "snapshots").iterdir()) == []

    ocibuild.build(context, "-t", "app")
    assert _fates(_plan(ocibuild, context)) == ["CACHED"] * 3
    tags = (ocibuild.store / "index.json").read_bytes()

    context = _context(ocibuild, busybox_base, comment="two")
    lines = _plan(ocibuild, context, "-t", "other")
    assert [line.partition("  # ")[2] for line in lines] == [
        "",
        "",
        "command: cat /src/* > /out # one to cat /src/* > /out # two",
        "[builder 3/3]: runs again, unless what it takes from [builder 3/3] stays the same",
        "parent: [stage-1 2/3] runs again, unless the result of [stage-1 2/3] stays the same",
    ]
    assert (ocibuild.store / "index.json").read_bytes() == tags
    assert len(ocibuild.build(context).ran()) == 1, "what it takes stays the same"


def test_a_plan_as_json_has_keys_and_inputs(ocibuild: Program, busybox_base: str) -> None:
    ocibuild.build(_context(ocibuild, busybox_base))
    context = _context(ocibuild, busybox_base, version="2")
    steps = json.loads("\n".join(_plan(ocibuild, context, "--format", "json")))
    assert [(step["fate"], step["cached"]) for step in steps] == [("cached", True)] * 2 + [("run", False)] * 3
    run = steps[2]
    assert run["label"].startswith("[builder 3/3] RUN")
    assert run["why"] == "ENV VERSION: 1 to 2"
    assert run["unless"] == []
    assert run["inputs"]["parent"] == steps[1]["key"]
    assert "VERSION=2" in run["inputs"]["environment"]
    assert steps[3]["unless"] == ["what it takes from [builder 3/3]"]


def test_a_plan_knows_what_a_cache_beyond_the_store_has(ocibuild: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN echo x > /x\nRUN echo {{}} > /y\n"
    cache = ocibuild.user.home / "cache"
    ocibuild.build(ocibuild.context("app", {"Dockerfile": text.format("y")}), "--cache-to", f"type=local,dest={cache}")
    context = ocibuild.context("app", {"Dockerfile": text.format("z")})
    words = ("--dry-run", "--progress", "quiet", "--cache-from", f"type=local,src={cache}", context)
    lines = ocibuild.check("--root", ocibuild.user.home / "other", "build", *words).splitlines()
    assert _fates(lines) == ["CACHED", "PULL", "RUN"], "the base comes with what stands on it"
    assert lines[2].endswith("# never built before")
    assert list((ocibuild.user.home / "other" / "snapshots").iterdir()) == []


def test_a_dry_run_says_what_a_filtered_stage_does_to_the_rest(shared: Program, busybox_base: str) -> None:
    context = _context(shared, busybox_base)
    shared.build(context)
    lines = [line for line in _plan(shared, context, "--no-cache-filter", "builder") if " FROM " not in line]
    assert _fates(lines) == ["RUN", "RUN", "RUN", "RUN"]
    assert [line.partition("  # ")[2] for line in lines] == [
        "--no-cache-filter",
        "--no-cache-filter",
        "[builder 3/3] runs again, unless what it takes from [builder 3/3] stays the same",
        "[stage-1 2/3] runs again, unless the result of [stage-1 2/3] stays the same",
    ]
    built = shared.build(context, "--no-cache-filter", "builder")
    assert len(built.ran()) == 2
    assert len(built.cached("stage-1 ")) == 3


@pytest.mark.parametrize(
    "words",
    [
        ("--iidfile", "x"),
        ("--metadata-file", "x"),
        ("--push",),
        ("--load",),
        ("--output", "type=oci,dest=x"),
        ("--cache-to", "type=local,dest=x"),
        ("--quiet",),
        ("--check",),
        ("--call", "outline"),
    ],
    ids=lambda words: words[0],
)
def test_a_dry_run_refuses_what_wants_something_done(ocibuild: Program, words: tuple[str, ...]) -> None:
    done = ocibuild.run("build", "--dry-run", *words, ".")
    assert done.returncode == 2
    assert f"--dry-run and {words[0]} exclude each other" in done.stderr


def test_a_dry_run_of_a_missing_file_fails_like_its_build(ocibuild: Program) -> None:
    context = ocibuild.context("app", {"Dockerfile": "FROM scratch\nCOPY missing /\n"})
    done = ocibuild.run("build", "--dry-run", context)
    assert done.returncode == 1
    assert "missing" in done.stderr


def test_du_shows_the_inputs_of_results(ocibuild: Program, busybox_base: str) -> None:
    ocibuild.build(_context(ocibuild, busybox_base))
    shown = ocibuild.check("du", "--verbose", "--filter", "type=regular")
    (result,) = [block for block in shown.split("\n\n") if "Description:   [builder 3/3]" in block]
    lines = dict(line.split(":", 1) for line in result.splitlines())
    assert lines["Key"].strip().startswith("sha256:")
    assert lines["Kind"].strip() == "run"
    assert lines["Command"].strip() == "/bin/sh -c 'cat /src/* > /out # one'"
    (parent,) = [block for block in shown.split("\n\n") if f"Key:           {lines['Parent'].strip()}" in block]
    assert "COPY app/ /src/" in parent
    documents = [json.loads(line) for line in ocibuild.check("du", "-v", "--format", "json").splitlines()]
    assert {document["Inputs"]["kind"] for document in documents if "Inputs" in document} == {"run", "copy"}
