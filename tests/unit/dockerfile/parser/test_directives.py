from __future__ import annotations

import pytest

from ocibuild.dockerfile.parser.directives import Directives, parse_directives
from ocibuild.errors import DockerfileError, SourceRange

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
    ("carriage returns", ["# escape=`\r"], Directives(escape="`")),
    ("tabs", ["#\tescape\t=\t`\t"], Directives(escape="`")),
    ("a value with blanks", ["# syntax=a b"], Directives(syntax="a b")),
    ("indented check", ["  # check=skip=all"], Directives()),
    ("indented check before escape", ["  # check=skip=all", "# escape=`"], Directives(escape="`")),
    ("indented syntax", ["\t# syntax=x"], Directives()),
    ("another space before the name", ["#\xa0escape=`"], Directives()),
    ("no space before the name", ["#syntax=x"], Directives(syntax="x")),
    ("two hashes", ["## syntax=x"], Directives()),
    ("a name with other characters", ["# syn-tax=x", "# syntax=x"], Directives()),
    ("shebang and escape", ["#!/bin/x", "# escape=`"], Directives()),
    ("shebang and check", ["#!/bin/x", "# check=y"], Directives(check="y")),
    ("shebang and syntax", ["#!/bin/x", "# syntax=y"], Directives(syntax="y")),
    ("shebang later", ["# syntax=y", "#!/bin/x", "# check=y"], Directives(syntax="y")),
    ("slashes", ["// syntax=x"], Directives(syntax="x")),
    ("slashes after a shebang", ["#!/bin/x", "// syntax=x"], Directives(syntax="x")),
    ("slashes and others", ["// check=y", "//syntax=x", "// escape=`"], Directives(syntax="x")),
    ("a hash wins", ["# syntax=x", "// syntax=y"], Directives(syntax="x")),
    ("json", ['{"syntax": "x",', '"a": 1}'], Directives(syntax="x")),
    ("json with blanks", ['  {"syntax": "x"}'], Directives(syntax="x")),
    ("json of another kind", ['{"syntax": 1}'], Directives()),
    ("json without it", ['{"a": "x"}'], Directives()),
    ("json that is none", ['{"syntax": "x"'], Directives()),
    ("json as a list", ['["syntax"]'], Directives()),
    ("json, deep", ['{"a":' * 100_000], Directives()),
]


@pytest.mark.parametrize(("lines", "expected"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_directives_stand_at_the_top(lines: list[str], expected: Directives) -> None:
    assert parse_directives(lines, file="D") == expected


WRONG = [
    (["# escape=x"], 1, "invalid escape character 'x'"),
    (["# escape=``"], 1, "invalid escape character"),
    (["# escape= "], 1, "invalid escape character ' '"),
    (["# escape=\\ x"], 1, "invalid escape character"),
    (["# check=a", "# escape=`", "#check=b"], 3, "only one check parser directive can be used"),
    (["# escape=`", "# escape=`"], 2, "only one escape parser directive can be used"),
    (["# syntax=a", "# SYNTAX=b"], 2, "only one syntax parser directive can be used"),
]


@pytest.mark.parametrize(("lines", "number", "message"), WRONG, ids=[row[0][-1] for row in WRONG])
def test_a_wrong_directive_is_refused(lines: list[str], number: int, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_directives(lines, file="D")
    assert message in caught.value.message
    assert caught.value.location == SourceRange("D", number, number, (lines[number - 1],))
    assert caught.value.location.source == tuple(lines)


def test_where_check_stands_and_how_many_directives_there_are_is_known() -> None:
    found = parse_directives(["# syntax=a", "# check=b", "# c", "# escape=`"], file="D")
    assert found.check_location == SourceRange("D", 2, 2, ("# check=b",))
    assert found.count == 2
