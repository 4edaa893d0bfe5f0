"""The format of the cases is read as its description says."""

from __future__ import annotations

import pytest

from tests.differential.cases import Case, WrongCase, parse_cases

TEXT = """\
About the file.

=== The first, of two!
options: --build-arg "A=b c"
options: --target x
environment: X='y z'
times: a b
--- Dockerfile
FROM BASE

RUN true

--- ../beside/empty

--- prepare
touch a

=== the second
fails: 3
--- Dockerfile
FROM BASE
"""


def _parse(text: str) -> list[Case]:
    return list(parse_cases("file", text))


def test_case_has_its_files_and_settings() -> None:
    first, second = _parse(TEXT)
    assert (first.name, second.name) == ("file/the-first-of-two", "file/the-second")
    assert first.files == {"Dockerfile": "FROM BASE\n\nRUN true\n", "../beside/empty": ""}
    assert first.prepare == "touch a\n"
    assert first.options == ("--build-arg", "A=b c", "--target", "x")
    assert (first.environment, first.times) == ((("X", "y z"),), ("a", "b"))
    assert (first.fails, second.fails) == (None, "3")


def test_digest_changes_with_the_text() -> None:
    first, second = _parse(TEXT)
    assert first.digest != second.digest
    assert first.digest != _parse(TEXT.replace("touch a", "touch b"))[0].digest
    assert first.digest == _parse(TEXT.replace("fails: 3", "fails: 4"))[0].digest


@pytest.mark.parametrize(
    "text",
    ["=== a\nnonsense: 1\n--- Dockerfile\n", "=== a\nno colon\n--- x\n", "=== a\n--- x\n=== A\n--- x\n"],
    ids=["unknown-setting", "no-setting", "same-name"],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(WrongCase):
        _parse(text)
