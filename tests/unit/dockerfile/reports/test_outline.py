from __future__ import annotations

import pytest

from ocibuild.dockerfile import convert, parse
from ocibuild.dockerfile.reports.outline import Outline, Outliner
from ocibuild.dockerfile.reports.targets import description, list_targets
from tests.unit.dockerfile.conversion.helpers import Images, options


def outline(text: str, **changes: object) -> Outline:
    dockerfile = parse(text.encode(), file="Dockerfile")
    asked = options(**changes)
    outliner = Outliner(dockerfile, asked)
    convert(dockerfile, options(**changes, observers=(outliner,)), Images())
    return outliner.outline()


def arguments(text: str, **changes: object) -> dict[str, str]:
    return {argument.name: argument.value for argument in outline(text, **changes).arguments}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", {}),
        ("FROM a\nARG b\nARG c=1 d=$c", {"b": "", "c": "1", "d": "1"}),
        ("ARG a=1\nFROM b", {}),
        ("ARG a=1\nFROM b\nARG a", {"a": "1"}),
        ("ARG a=1\nFROM b\nARG a=2", {"a": "2"}),
        ("ARG a=b\nFROM $a", {"a": "b"}),
        ("ARG a=linux\nFROM --platform=$a b", {"a": "linux"}),
        ("ARG a=1 b=$a c=$b d=4\nFROM e\nARG c", {"a": "1", "b": "1", "c": "1"}),
        ("FROM a\nARG given=file", {"given": "line"}),
        ("ARG given=$b\nARG b=1\nFROM a\nARG given", {"given": "line"}),
        ("FROM a AS b\nARG c=1\nFROM d\nARG e=2", {"e": "2"}),
        ("FROM a AS b\nARG c=1\nFROM b\nARG e=2", {"c": "1", "e": "2"}),
        ("FROM a AS b\nARG c=1\nFROM d\nCOPY --from=b /x /y\nARG e=2", {"c": "1", "e": "2"}),
        ("FROM a AS b\nARG c=1\nFROM b\nARG c=2", {"c": "2"}),
        ("FROM a\nARG TARGETARCH", {}),
    ],
)
def test_the_arguments_that_are_used_have_the_values_of_this_build(text: str, expected: dict[str, str]) -> None:
    assert arguments(text, build_args={"given": "line", "unknown": "1"}) == expected


def test_only_what_the_target_needs_counts() -> None:
    text = "FROM a AS b\nARG c=1\nFROM a AS d\nARG e=2\nFROM a AS f\nARG g=3\n"
    assert arguments(text, target="d") == {"e": "2"}
    assert outline(text, target="d").name == "d"


def test_secrets_and_agents_are_those_that_steps_mount() -> None:
    found = outline(
        "FROM a AS b\n"
        "ARG name=three\n"
        "RUN --mount=type=secret,id=one --mount=type=secret,target=/run/two,required=true c\n"
        "RUN --mount=type=secret,id=one,required=true --mount=type=secret,id=$name,env=X d\n"
        "RUN --mount=type=ssh --mount=type=ssh,id=four,required --mount=type=cache,target=/e f\n"
    )
    assert [(one.name, one.required, one.location.first) for one in found.secrets] == [
        ("one", False, 3),
        ("two", True, 3),
        ("three", False, 4),
    ]
    assert [(one.name, one.required) for one in found.ssh] == [("default", False), ("four", True)]


def test_comments_describe() -> None:
    found = outline("# a is a\nARG a=1\n# b builds\n# and more\nFROM c AS b\nARG a\n# f is f\nARG e f\n")
    assert found.description == "builds"
    assert [(argument.name, argument.description) for argument in found.arguments] == [
        ("a", "is a"),
        ("e", ""),
        ("f", "is f"),
    ]


@pytest.mark.parametrize(
    ("comments", "name", "expected"),
    [
        (["a is b"], "a", "is b"),
        (["b", "a is c", "a is d"], "a", "is c"),
        (["A is b"], "a", ""),
        (["a"], "a", ""),
        ([" is b"], "", ""),
        ([], "a", ""),
    ],
)
def test_a_description_begins_with_the_name(comments: list[str], name: str, expected: str) -> None:
    assert description(comments, name) == expected


def test_targets_are_the_stages_as_written() -> None:
    text = "# One is first\n# one is second\nFROM --platform=$BUILDPLATFORM $base AS One\nFROM one\n"
    first, last = list_targets(parse(text.encode(), file="Dockerfile"))
    assert (first.name, first.description, first.base, first.platform) == (
        "one",
        "is second",
        "$base",
        "$BUILDPLATFORM",
    )
    assert (last.name, last.base, last.platform, last.location.first) == ("", "one", "", 4)
    assert (first.is_default, last.is_default) == (False, True)
