from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile.parser.arguments import (
    blank_separated,
    json_strings,
    quoted_words,
    split_statement,
)
from ocibuild.errors import DockerfileError

STATEMENTS = [
    ("RUN", ("RUN", (), "")),
    ("RUN a b", ("RUN", (), "a b")),
    ("run\ta", ("run", (), "a")),
    ("COPY --from=x a b", ("COPY", ("--from=x",), "a b")),
    ("COPY  --from=x   --chown=1  a", ("COPY", ("--from=x", "--chown=1"), "a")),
    ("COPY --chown='1 2' a", ("COPY", ("--chown=1 2",), "a")),
    ('COPY --chown="1"2 a', ("COPY", ("--chown=12",), "a")),
    ("COPY --chown=a\\ b c", ("COPY", ("--chown=a b",), "c")),
    ("COPY --chown='a\\'b' c", ("COPY", ("--chown=a'b",), "c")),
    ("COPY -- --from=x a", ("COPY", (), "--from=x a")),
    ("COPY --", ("COPY", (), "")),
    ("COPY --from=x", ("COPY", ("--from=x",), "")),
    ("COPY --from='open", ("COPY", ("--from=open",), "")),
    ("RUN -x --y", ("RUN", (), "-x --y")),
    ("RUN a --y", ("RUN", (), "a --y")),
    ("RUN   a  ", ("RUN", (), "a")),
    ("RUN\va\f", ("RUN", (), "a")),
    ("RUN\xa0a", ("RUN\xa0a", (), "")),
    ("RUN --\\\\a b", ("RUN", ("--\\a",), "b")),
    ("RUN --a\\", ("RUN", ("--a",), "")),
    ("RUN --a='b\\", ("RUN", ("--a=b",), "")),
    ('RUN --a="b\'c" d', ("RUN", ("--a=b'c",), "d")),
    ("RUN --a=\xa0 b", ("RUN", ("--a=\xa0",), "b")),
    ("RUN --a=' b", ("RUN", ("--a= b",), "")),
    ("RUN '--a' b", ("RUN", (), "'--a' b")),
    ("RUN --a -b --c", ("RUN", ("--a",), "-b --c")),
    ("RUN --a -- --b", ("RUN", ("--a",), "--b")),
    ("RUN --- a", ("RUN", ("---",), "a")),
]


@pytest.mark.parametrize(("text", "expected"), STATEMENTS, ids=[row[0] for row in STATEMENTS])
def test_a_line_is_cut_into_name_flags_and_rest(text: str, expected: tuple[str, tuple[str, ...], str]) -> None:
    assert split_statement(text) == expected


QUOTED = [
    ("", ()),
    ("a b", ("a", "b")),
    ("a=b c=d", ("a=b", "c=d")),
    ('a="b c" d', ('a="b c"', "d")),
    ("a='b c' d", ("a='b c'", "d")),
    ("a=b\\ c d", ("a=b\\ c", "d")),
    ('a="b\\" c" d', ('a="b\\" c"', "d")),
    ("a='b\\' c", ("a='b\\'", "c")),
    ("a='b c", ("a='b c",)),
    ('a="b c', ('a="b c',)),
    ("a=b\\", ("a=b",)),
    ('a="b\\', ('a="b',)),
    ("a=\"b\"'c d'e f", ("a=\"b\"'c d'e", "f")),
    ("a='' b", ("a=''", "b")),
    ("'' b", ("''", "b")),
    ("a\xa0b", ("a", "b")),
]


@pytest.mark.parametrize(("text", "expected"), QUOTED, ids=[repr(row[0]) for row in QUOTED])
def test_quotes_and_escapes_hide_white_space(text: str, expected: tuple[str, ...]) -> None:
    assert quoted_words(text, escape="\\") == expected


def test_the_escape_character_may_be_a_backtick() -> None:
    assert quoted_words("a=b`\u0020c d\\ e", escape="`") == ("a=b` c", "d\\", "e")


JSON = [
    ('["a"]', ("a",)),
    ("[]", ()),
    ('[ "a" , "b c" ]', ("a", "b c")),
    ('["\\u00e9\\n"]', ("é\n",)),
    ('["\\ud83d\\ude00"]', ("😀",)),
    ('["\\ud800"]', ("\ufffd",)),
    ("a", None),
    ("[a]", None),
    ("['a']", None),
    ('["a"] b', None),
    ('["a",]', None),
    ('["a\\x"]', None),
    ('{"a":1}', None),
    ("[NaN]", None),
    ("[" * 100_000, None),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), JSON, ids=[repr(row[0])[:20] for row in JSON])
def test_a_json_array_of_strings_is_exec_form(text: str, expected: tuple[str, ...] | None) -> None:
    assert json_strings(text) == expected


@pytest.mark.parametrize("text", ['[1, "b"]', "[null]", '[["a"]]', '[{"a":"b"}]', "[true]"])
def test_a_json_array_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="must be comprised of strings only"):
        json_strings(text)


def test_blanks_separate_without_quotes() -> None:
    assert blank_separated("a  'b c'\td") == ("a", "'b", "c'", "d")


@given(st.text(), st.sampled_from("\\`"))
def test_any_text_can_be_cut(text: str, escape: str) -> None:
    assert all(quoted_words(text, escape=escape))
    if text.strip():
        assert split_statement("RUN " + text).name == "RUN"


@pytest.mark.parametrize("text", ["'" * 500_001, '"\\' * 500_000, "a " * 500_000, "a\\ " * 300_000, "'a' " * 300_000])
def test_hostile_arguments_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    quoted_words(text, escape="\\")
    split_statement("RUN --a=" + text)
    assert time.perf_counter() - started < 5
