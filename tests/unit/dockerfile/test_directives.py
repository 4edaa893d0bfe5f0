from __future__ import annotations

import pytest

from ocibuild.dockerfile.directives import Directives, parse_directives
from ocibuild.errors import DockerfileError

FOUND = [
    ("none", ["FROM a"], Directives()),
    ("escape", ["# escape=`"], Directives(escape="`")),
    ("escape as it is", ["# escape=\\"], Directives()),
    ("no spaces", ["#escape=`"], Directives(escape="`")),
    ("spaces everywhere", ["  #  escape  =  `  "], Directives(escape="`")),
    ("any case", ["# EsCaPe=`"], Directives(escape="`")),
    ("syntax", ["# syntax=docker/dockerfile:1"], Directives(syntax="docker/dockerfile:1")),
    ("check", ["# check=skip=all;error=true"], Directives(check="skip=all;error=true")),
    ("all", ["# syntax=x", "# check=y", "# escape=`"], Directives("`", "x", "y")),
    ("after a comment", ["# hello", "# escape=`"], Directives()),
    ("after a blank line", ["", "# escape=`"], Directives()),
    ("after an instruction", ["FROM a", "# escape=`"], Directives()),
    ("after an unknown one", ["# key=value", "# escape=`"], Directives()),
    ("without a value", ["# escape="], Directives()),
]


@pytest.mark.parametrize(("lines", "expected"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_directives_stand_at_the_top(lines: list[str], expected: Directives) -> None:
    assert parse_directives(lines, file="D") == expected


WRONG = [
    (["# escape=x"], 1, "invalid escape character 'x'"),
    (["# escape=``"], 1, "invalid escape character"),
    (["# escape=`", "# escape=`"], 2, "only one escape parser directive can be used"),
    (["# syntax=a", "# SYNTAX=b"], 2, "only one syntax parser directive can be used"),
]


@pytest.mark.parametrize(("lines", "number", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_directive_is_refused(lines: list[str], number: int, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_directives(lines, file="D")
    assert message in caught.value.message
    assert caught.value.location == ("D", number, number, (lines[number - 1],))
