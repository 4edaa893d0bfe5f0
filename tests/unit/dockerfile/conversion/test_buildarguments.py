from __future__ import annotations

import pytest

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.conversion.buildarguments import argument_warnings, created_text, proxy_settings, source_date
from ocibuild.errors import UsageError
from ocibuild.graph import CacheMount, MakeDirectory, Run
from tests.unit.dockerfile.conversion.helpers import build, chain


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"])
def test_every_proxy_argument_is_known_in_both_cases(name: str) -> None:
    expected = (f"{name.upper()}=p", f"{name}=p")
    assert proxy_settings({name: "p"}) == expected
    assert proxy_settings({name.upper(): "p"}) == expected
    assert proxy_settings({name: ""}) == ()


def test_a_proxy_is_hidden_unless_an_arg_declares_it() -> None:
    given = {"http_proxy": "p"}
    hidden = build("FROM a\nRUN x\n", build_args=given).vertex
    declared = build("FROM a\nARG http_proxy\nRUN x\n", build_args=given).vertex
    assert isinstance(hidden, Run)
    assert isinstance(declared, Run)
    assert hidden.hidden_env == declared.hidden_env == ("HTTP_PROXY=p", "http_proxy=p")
    assert "http_proxy=p" not in hidden.env
    assert "http_proxy=p" in declared.env


TIMES = [("0", 0, "1970-01-01T00:00:00Z"), ("1600000000", 1_600_000_000, "2020-09-13T12:26:40Z"), ("", None, None)]


@pytest.mark.parametrize(("value", "seconds", "text"), TIMES, ids=["zero", "seconds", "empty"])
def test_a_source_date_is_in_seconds(value: str, seconds: int | None, text: str | None) -> None:
    given = {"SOURCE_DATE_EPOCH": value}
    assert (source_date(given), created_text(given)) == (seconds, text)


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", "9" * 30, "\u0663"])
def test_a_source_date_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="invalid SOURCE_DATE_EPOCH"):
        build("FROM a\n", build_args={"SOURCE_DATE_EPOCH": value})


def test_a_source_date_is_the_time_of_the_image_and_of_what_is_new_in_it() -> None:
    target = build("FROM a\nENV A=1\nWORKDIR /w\n", build_args={"SOURCE_DATE_EPOCH": "1600000000"})
    assert target.config.created == "2020-09-13T12:26:40Z"
    assert [entry.created for entry in target.config.history] == ["2020-09-13T12:26:40Z"] * 2
    assert isinstance(target.vertex, MakeDirectory)
    assert target.vertex.time == 1_600_000_000


def test_the_sandbox_and_its_caches_are_named() -> None:
    text = "FROM a\nRUN --mount=type=cache,target=/c x\n"
    given = {"BUILDKIT_SANDBOX_HOSTNAME": "mine", "BUILDKIT_CACHE_MOUNT_NS": "ns"}
    for build_args, hostname, cache in [({}, "buildkitsandbox", "//c"), (given, "mine", "ns//c")]:
        step = chain(build(text, build_args=build_args))[1]
        assert isinstance(step, Run)
        (mount,) = step.mounts
        assert isinstance(mount, CacheMount)
        assert (step.hostname, mount.id) == (hostname, cache)


WARNINGS = [
    ({"G": "", "S": "", "TARGETARCH": "", "TARGETSTAGE": "", "HTTP_PROXY": ""}, []),
    ({"X": "1", "B": "2"}, ["One or more build-args [B X] were not consumed"]),
    ({"BUILDKIT_NEW": "1"}, ["One or more build-args [BUILDKIT_NEW] were not consumed"]),
    ({"BUILDKIT_INLINE_CACHE": "0", "BUILDKIT_MULTI_PLATFORM": "false", "SOURCE_DATE_EPOCH": ""}, []),
    (
        {"BUILDKIT_INLINE_CACHE": "1"},
        ["the build argument BUILDKIT_INLINE_CACHE has no effect: no cache is written into the image"],
    ),
    (
        {"BUILDKIT_SYNTAX": "docker/dockerfile:1"},
        ["the build argument BUILDKIT_SYNTAX has no effect: the Dockerfile language is built in"],
    ),
    ({"BUILDKIT_SANDBOX_HOSTNAME": "x", "BUILDKIT_CACHE_MOUNT_NS": "x", "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}, []),
]


@pytest.mark.parametrize(("given", "expected"), WARNINGS, ids=[" ".join(row[0]) for row in WARNINGS])
def test_arguments_without_effect_are_named(given: dict[str, str], expected: list[str]) -> None:
    dockerfile = parse(b"ARG G\nFROM a AS unneeded\nARG S\nFROM a\n", file="D")
    assert list(argument_warnings(dockerfile, given)) == expected
