"""docs/dockerfile.md names each instruction and flag that the parser knows, and says what becomes of it."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.parser import statements, steps
from ocibuild.errors import DockerfileError
from tests.support.rootless import CHECKOUT

_DOCUMENT = CHECKOUT / "docs/dockerfile.md"
_VALUES = {"mount": "type=cache,target=/x", "network": "none", "security": "sandbox", "interval": "5s", "retries": "3"}
_VALUES |= {"timeout": "5s", "start-period": "5s", "start-interval": "5s", "unpack": "true"}
_ARGUMENTS = {"HEALTHCHECK": "CMD true", "RUN": "true", "FROM": "image"}
_KNOWN = {
    "FROM": statements._FROM_FLAGS,
    "HEALTHCHECK": statements._HEALTHCHECK_FLAGS,
    "RUN": steps._RUN_FLAGS,
    "COPY": steps._COPY_FLAGS,
    "ADD": steps._ADD_FLAGS,
}


class Row(NamedTuple):
    instruction: str
    flag: str
    verdict: str


def _cells(heading: str) -> list[tuple[str, str]]:
    """Return the first two cells of each row of the table below a heading."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## )", _DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    rows = re.findall(r"^\| ([^|]+) \| ([^|]*) \|.*\|$", section[1], re.MULTILINE)
    return [(first, verdict.strip()) for first, verdict in rows if first.startswith("`")]


ROWS = [
    Row(instruction, flag, verdict)
    for cell, verdict in _cells("Flags")
    for instruction in re.findall(r"[A-Z]+", cell)
    for flag in re.findall(r"--([a-z-]+=?)", cell)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.instruction} --{row.flag}")
def test_a_flag_is_what_the_document_says(row: Row) -> None:
    value = _VALUES.get(row.flag.rstrip("="), "x") if row.flag.endswith("=") else ""
    line = f"{row.instruction} --{row.flag}{value} {_ARGUMENTS.get(row.instruction, 'a b')}"
    text = line if row.instruction == "FROM" else f"FROM image\n{line}"
    if row.verdict == "refused":
        with pytest.raises(DockerfileError, match=f"{row.instruction} --{row.flag.rstrip('=')} is not supported"):
            parse(text.encode(), file="Dockerfile")
    else:
        assert row.verdict in {"works", "work"}
        parse(text.encode(), file="Dockerfile")


def test_each_flag_is_in_the_document() -> None:
    known = {
        (instruction, flag)
        for instruction, flags in _KNOWN.items()
        for flag in (*flags.values, *flags.switches, *flags.lists, *flags.refused)
    }
    assert {(row.instruction, row.flag.rstrip("=")) for row in ROWS} == known


def test_each_instruction_is_in_the_document() -> None:
    named = {name for cell, _ in _cells("Instructions") for name in re.findall(r"[A-Z]+", cell)}
    assert named == {"FROM", *statements._PARSERS}
