from __future__ import annotations

import pytest

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.conversion.environment import (
    MAX_SIZE,
    Variables,
    global_arguments,
    image_environment,
)
from ocibuild.errors import DockerfileError
from ocibuild.graph import Run
from ocibuild.oci import Platform
from tests.unit.dockerfile.conversion.helpers import ARM64, PATH, build, created_by, options


def last_run(text: str, **build_args: str) -> Run:
    vertex = build(text, build_args=build_args).vertex
    assert isinstance(vertex, Run)
    return vertex


ENVIRONMENTS = [
    ("nothing", "RUN x", {}, ()),
    ("env", "ENV A=1\nRUN x", {}, ("A=1",)),
    ("env after the step", "RUN x\nENV A=1\nRUN y", {}, ("A=1",)),
    ("env sees what was before its line", "ENV A=1\nENV A=2 B=$A\nRUN x", {}, ("A=2", "B=1")),
    ("arg with a default", "ARG A=1\nRUN x", {}, ("A=1",)),
    ("arg without a value", "ARG A\nRUN x", {}, ()),
    ("arg with an empty default", "ARG A=\nRUN x", {}, ("A=",)),
    ("arg from the command line", "ARG A\nRUN x", {"A": "9"}, ("A=9",)),
    ("the command line wins over a default", "ARG A=1\nRUN x", {"A": "9"}, ("A=9",)),
    ("the command line may be empty", "ARG A=1\nRUN x", {"A": ""}, ("A=",)),
    ("an argument that is not declared", "RUN x", {"A": "9"}, ()),
    ("env over an arg before it", "ARG A=1\nENV A=2\nRUN x", {"A": "9"}, ("A=2",)),
    ("env from an arg", "ARG A=1\nENV A=${A}x\nRUN x", {}, ("A=1x",)),
    ("an arg uses an env", "ENV P=1\nARG A=${P}2\nENV P=3\nRUN x", {}, ("P=3", "A=12")),
    ("several args in a line", "ARG A=1 B=$A C\nRUN x", {"C": "3"}, ("A=1", "B=1", "C=3")),
    ("an arg after an env of its name", "ENV A=1\nARG A=2\nRUN x", {}, ("A=2",)),
    ("an arg without a value after an env", "ENV A=1\nARG A\nRUN x", {}, ("A=1",)),
]


@pytest.mark.parametrize(
    ("text", "build_args", "expected"), [row[1:] for row in ENVIRONMENTS], ids=[row[0] for row in ENVIRONMENTS]
)
def test_a_step_sees_its_environment(text: str, build_args: dict[str, str], expected: tuple[str, ...]) -> None:
    assert last_run(f"FROM a\n{text}\n", **build_args).env == (PATH, *expected)


GLOBALS = [
    ("declared again", "ARG V=1", "ARG V", {}, "1"),
    ("declared again with a default", "ARG V=1", "ARG V=2", {}, "2"),
    ("from the command line", "ARG V=1", "ARG V", {"V": "9"}, "9"),
    ("not declared again", "ARG V=1", "ENV X=1", {}, None),
    ("without a value", "ARG V", "ARG V", {}, None),
    ("made of another", "ARG U=1\nARG V=x$U", "ARG V", {}, "x1"),
    ("not in reach of a default", "ARG U=1", "ARG V=x$U", {}, "x"),
]


@pytest.mark.parametrize(
    ("above", "line", "build_args", "expected"), [row[1:] for row in GLOBALS], ids=[row[0] for row in GLOBALS]
)
def test_a_global_argument_is_seen_where_it_is_declared(
    above: str, line: str, build_args: dict[str, str], expected: str | None
) -> None:
    env = dict(setting.split("=", 1) for setting in last_run(f"{above}\nFROM a\n{line}\nRUN x\n", **build_args).env)
    assert env.get("V") == expected


def test_platform_arguments_are_global() -> None:
    dockerfile = parse(b"FROM a AS last\n", file="D")
    found = global_arguments(dockerfile, options(platform=Platform("linux", "arm", "v7")))
    assert found == {
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDOSVERSION": "",
        "BUILDARCH": "amd64",
        "BUILDVARIANT": "",
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETOSVERSION": "",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETSTAGE": "last",
    }
    assert global_arguments(dockerfile, options(target="X"))["TARGETSTAGE"] == "X"
    unnamed = parse(b"FROM a\n", file="D")
    assert global_arguments(unnamed, options())["TARGETSTAGE"] == "default"
    assert global_arguments(unnamed, options(build_args={"TARGETARCH": "z"}))["TARGETARCH"] == "z"


def test_platform_arguments_need_a_declaration() -> None:
    text = "FROM a\nENV A=${TARGETARCH:-none}\nARG TARGETARCH\nENV B=$TARGETARCH\nRUN x\n"
    target = build(text, platform=ARM64)
    assert target.config.config.env == (PATH, "A=none", "B=arm64")


def test_proxies_reach_steps_without_a_declaration_or_a_trace() -> None:
    text = "FROM a\nENV A=${HTTP_PROXY:-none}\nRUN x\n"
    target = build(text, build_args={"HTTP_PROXY": "http://p", "no_proxy": "n"})
    assert isinstance(target.vertex, Run)
    assert target.vertex.env == (PATH, "A=none")
    assert target.vertex.hidden_env == (
        "HTTP_PROXY=http://p",
        "http_proxy=http://p",
        "NO_PROXY=n",
        "no_proxy=n",
    )
    assert created_by(target) == ["ENV A=none", "RUN /bin/sh -c x # buildkit"]
    assert target.warnings == ()


HISTORIES = [
    ("ARG A=1\nRUN x", {}, ["ARG A=1", "RUN |1 A=1 /bin/sh -c x # buildkit"]),
    ("ARG A\nRUN x", {}, ["ARG A", "RUN |1 A= /bin/sh -c x # buildkit"]),
    ("ARG A=1 B\nRUN x", {"B": "2"}, ["ARG A=1 B=2", "RUN |2 A=1 B=2 /bin/sh -c x # buildkit"]),
    ("RUN x\nARG A=1", {}, ["RUN /bin/sh -c x # buildkit", "ARG A=1"]),
    ("ARG A=1\nENV A=2\nRUN x", {}, ["ARG A=1", "ENV A=2", "RUN |1 A=2 /bin/sh -c x # buildkit"]),
    ("ARG A=1\nARG A=2\nRUN x", {}, ["ARG A=1", "ARG A=2", "RUN |1 A=2 /bin/sh -c x # buildkit"]),
    ('RUN ["x", "$A"]', {}, ["RUN x $A # buildkit"]),
    (
        "ARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN x",
        {},
        ["ARG BUILDKIT_SBOM_SCAN_STAGE=true", "RUN |1 BUILDKIT_SBOM_SCAN_STAGE=true /bin/sh -c x # buildkit"],
    ),
    (
        "ARG SOURCE_DATE_EPOCH\nRUN x",
        {"SOURCE_DATE_EPOCH": "5"},
        ["ARG SOURCE_DATE_EPOCH=5", "RUN |1 SOURCE_DATE_EPOCH=5 /bin/sh -c x # buildkit"],
    ),
]


@pytest.mark.parametrize(("text", "build_args", "expected"), HISTORIES, ids=[row[0] for row in HISTORIES])
def test_arguments_are_recorded(text: str, build_args: dict[str, str], expected: list[str]) -> None:
    assert created_by(build(f"FROM a\n{text}\n", build_args=build_args)) == expected


def test_an_image_gets_a_path() -> None:
    assert image_environment(["A=1"]).settings() == ("A=1", PATH)
    assert image_environment(["PATH=/x", "A=b=c", "B"]).settings() == ("PATH=/x", "A=b=c", "B=")


def test_variables_are_limited_in_size() -> None:
    variables = Variables()
    half = "x" * (MAX_SIZE // 2)
    variables.assign("A", half)
    for _ in range(5):
        variables.assign("A", half)
    with pytest.raises(DockerfileError, match="hold more than"):
        variables.assign("B", half)
