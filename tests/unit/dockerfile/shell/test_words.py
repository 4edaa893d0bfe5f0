from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.dockerfile.shell.words import MAX_DEPTH, expand_known, expand_word, expand_words, raw_words
from ocibuild.errors import DockerfileError
from tests.unit.dockerfile.conversion.helpers import refusal

VARIABLES = {
    "A": "apple",
    "B": "b c",
    "E": "",
    "Q": '"q"',
    "P": "/usr/local/lib/x.tar.gz",
    "X": "xxyy",
    "STAR": "a*b?c",
    "NEEDLE": "\\*",
    "D": "$A",
    "NL": "one\ntwo",
    "_": "under",
    "A1": "one",
    "ÄÖ": "umlaut",
    "1": "first",
}

WORDS = [
    # plain text and quotes
    ("", ""),
    ("hello", "hello"),
    ("hello world", "hello world"),
    ("  padded  ", "  padded  "),
    ("'single'", "single"),
    ('"double"', "double"),
    ("a'b'c\"d\"e", "abcde"),
    ("'a\"b'", 'a"b'),
    ('"a\'b"', "a'b"),
    ("''", ""),
    ('""', ""),
    ("'a b'  \"c  d\"", "a b  c  d"),
    ("'$A'", "$A"),
    ('"$A"', "apple"),
    ("'${A}'", "${A}"),
    ('"${A}"', "apple"),
    ("he'll'o", "hello"),
    ("한국어 'é'", "한국어 é"),
    # escapes
    ("a\\b", "ab"),
    ("a\\\\b", "a\\b"),
    ("\\$A", "$A"),
    ("\\\\$A", "\\apple"),
    ("\\'x\\'", "'x'"),
    ('\\"x\\"', '"x"'),
    ("a\\ b", "a b"),
    ("end\\", "end"),
    ('"a\\"b"', 'a"b'),
    ('"a\\$A"', "a$A"),
    ('"a\\\\b"', "a\\b"),
    ('"a\\nb"', "a\\nb"),
    ("'a\\b'", "a\\b"),
    ("'a\\'", "a\\"),
    ("\\${A}", "${A}"),
    # $name and ${name}
    ("$A", "apple"),
    ("${A}", "apple"),
    ("$A/x", "apple/x"),
    ("$A.x", "apple.x"),
    ("$A-x", "apple-x"),
    ("x$A", "xapple"),
    ("$A$A", "appleapple"),
    ("${A}x", "applex"),
    ("$Ax", ""),
    ("${Ax}", ""),
    ("$NONE", ""),
    ("a${NONE}b", "ab"),
    ("$E", ""),
    ("$B", "b c"),
    ("$D", "$A"),
    ("$Q", '"q"'),
    ("$_", "under"),
    ("$A1", "one"),
    ("$ÄÖ", "umlaut"),
    ("$", "$"),
    ("$ A", "$ A"),
    ("a$", "a$"),
    ("$.", "$."),
    ("$$", ""),
    ("$1", "first"),
    ("$1A", "firstA"),
    ("$12", ""),
    ("$?x", "x"),
    ("$#", ""),
    ("$*", ""),
    ("$@", ""),
    ("$!", ""),
    ("$-", ""),
    ("${1}", "first"),
    ("${?}", ""),
    # ${name:-word} and ${name-word}
    ("${A:-w}", "apple"),
    ("${NONE:-w}", "w"),
    ("${E:-w}", "w"),
    ("${A-w}", "apple"),
    ("${NONE-w}", "w"),
    ("${E-w}", ""),
    ("${NONE:-}", ""),
    ("${NONE-}", ""),
    ("${NONE:-a b}", "a b"),
    ("${NONE:-'a b'}", "a b"),
    ("${NONE:-$A}", "apple"),
    ("${NONE:-${A}}", "apple"),
    ("${NONE:-${NONE2:-deep}}", "deep"),
    ("${NONE:-a\\}b}", "a}b"),
    ("${NONE:-'}'}", "}"),
    ('${NONE:-"}"}', "}"),
    ("${NONE:-a:-b}", "a:-b"),
    ("${NONE:--}", "-"),
    ('"${NONE:-a b}"', "a b"),
    # ${name:+word} and ${name+word}
    ("${A:+w}", "w"),
    ("${NONE:+w}", ""),
    ("${E:+w}", ""),
    ("${A+w}", "w"),
    ("${NONE+w}", ""),
    ("${E+w}", "w"),
    ("${A:+$B}", "b c"),
    ("${A:+-${A}}", "-apple"),
    # ${name:?word} and ${name?word}, where they do not fail
    ("${A:?no}", "apple"),
    ("${A?no}", "apple"),
    ("${E?no}", ""),
    # ${name#pattern} and ${name##pattern}
    ("${A#a}", "pple"),
    ("${A#z}", "apple"),
    ("${A#}", "apple"),
    ("${A##}", "apple"),
    ("${A#*}", "apple"),
    ("${A##*}", ""),
    ("${A#?}", "pple"),
    ("${A#*p}", "ple"),
    ("${A##*p}", "le"),
    ("${P#*/}", "usr/local/lib/x.tar.gz"),
    ("${P##*/}", "x.tar.gz"),
    ("${P#/*/}", "local/lib/x.tar.gz"),
    ("${P##/*/}", "x.tar.gz"),
    ("${X#*x*y}", "y"),
    ("${X##*x*y}", ""),
    ("${STAR#a\\*}", "b?c"),
    ("${STAR#a*\\?}", "c"),
    ("${STAR#a\\*b\\?}", "c"),
    ("${NONE#x}", ""),
    ("${A#$E}", "apple"),
    ("${A#${NONE:-ap}}", "ple"),
    # ${name%pattern} and ${name%%pattern}
    ("${A%e}", "appl"),
    ("${A%z}", "apple"),
    ("${A%}", "apple"),
    ("${A%%}", "apple"),
    ("${A%*}", "apple"),
    ("${A%%*}", ""),
    ("${A%?}", "appl"),
    ("${A%p*}", "ap"),
    ("${A%%p*}", "a"),
    ("${P%.*}", "/usr/local/lib/x.tar"),
    ("${P%%.*}", "/usr/local/lib/x"),
    ("${P%/*}", "/usr/local/lib"),
    ("${P%%/*}", ""),
    ("${STAR%\\?c}", "a*b"),
    ("${STAR%%\\**}", "a"),
    ("${P%.tar.gz}", "/usr/local/lib/x"),
    ("${NL%two}", "one\n"),
    ("${NL%%*}", "one\n"),
    # ${name/pattern/text} and ${name//pattern/text}
    ("${A/p/P}", "aPple"),
    ("${A//p/P}", "aPPle"),
    ("${A/z/Z}", "apple"),
    ("${A/p/}", "aple"),
    ("${A//p/}", "ale"),
    ("${A/p*/X}", "aX"),
    ("${A//?/x}", "xxxxx"),
    ("${P//\\//-}", "-usr-local-lib-x.tar.gz"),
    ("${P/\\/usr/}", "/local/lib/x.tar.gz"),
    ("${A/${NONE:-pp}/$B}", "ab cle"),
    ("${STAR/$NEEDLE/+}", "a+b?c"),
    ("${X///}", "xxyy"),
    ("${X//x/\\/}", "\\/\\/yy"),
    ("${X/$E/ww}", "wwxxyy"),
    ("${X//$E/-}", "-x-x-y-y-"),
    ("${X//*/w}", "w"),
    ("${X//x/[$$]}", "[][]yy"),
    ("${X//x/'[$0]'}", "[x][x]yy"),
    ("${X//x/'<$1>'}", "<><>yy"),
    ("${X//x/'$$'}", "$$yy"),
    ("${X/x/'$0'}", "$0xyy"),
    ("${NL//o*/-}", "-\ntw-"),
    ("${NONE/a/b}", ""),
]


@pytest.mark.parametrize(("text", "expected"), WORDS, ids=[repr(text) for text, _ in WORDS])
def test_a_word_expands_as_the_reference_says(text: str, expected: str) -> None:
    assert expand_word(text, VARIABLES) == expected


WRONG = [
    ("'open", "single quote is not closed"),
    ('"open', "double quote is not closed"),
    ('"open\\', "double quote is not closed"),
    ('"$A', "double quote is not closed"),
    ("${", "missing '}'"),
    ("${A", "missing '}'"),
    ("${A:", "missing '}'"),
    ("${A:-", "missing '}'"),
    ("${A:-w", "missing '}'"),
    ("${NONE:-${A}", "missing '}'"),
    ("${}", "bad substitution"),
    ("${{A}}", "bad substitution"),
    ("${:}", "bad substitution"),
    ("${:-w}", "bad substitution"),
    ("${A=w}", "unsupported modifier (=)"),
    ("${A:=w}", "unsupported modifier (:=)"),
    ("${A:}", "unsupported modifier (:})"),
    ("${A:#a}", "unsupported modifier (:#)"),
    ("${A:%a}", "unsupported modifier (:%)"),
    ("${A^^}", "unsupported modifier (^)"),
    ("${A,}", "unsupported modifier (,)"),
    ("${A:1}", "unsupported modifier (:1)"),
    ("${A b}", "unsupported modifier ( )"),
    ("${NONE:?}", "NONE: is not allowed to be unset"),
    ("${NONE?}", "NONE: is not allowed to be unset"),
    ("${NONE:?give me}", "NONE: give me"),
    ("${NONE?give $A}", "NONE: give apple"),
    ("${E:?}", "E: is not allowed to be empty"),
    ("${E:?give me}", "E: give me"),
    ("${A/p}", "missing '/'"),
    ("${A//p}", "missing '/'"),
    ("${A/p/x", "missing '}'"),
    ("${A#\\x}", "invalid escape '\\x'"),
    ("${A%\\}", "missing '}'"),
    ("${A/\\q/x}", "invalid escape '\\q'"),
    ("${A#" + "p" * 1001 + "}", "longer than 1000 characters"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[repr(text)[:20] for text, _ in WRONG])
def test_a_wrong_word_is_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand_word(text, VARIABLES)
    assert message in caught.value.message


BACKTICK = [
    ("C:\\dir", "C:\\dir"),
    ("a`b", "ab"),
    ("``", "`"),
    ("`$A", "$A"),
    ('"a`"b"', 'a"b'),
    ('"a\\"', "a\\"),
    ("${NONE:-a`}b}", "a}b"),
    ("\\$A", "\\apple"),
]


@pytest.mark.parametrize(("text", "expected"), BACKTICK, ids=[repr(text) for text, _ in BACKTICK])
def test_the_escape_character_can_be_a_backtick(text: str, expected: str) -> None:
    assert expand_word(text, VARIABLES, escape="`") == expected


SPLIT = [
    ("", ()),
    ("  ", ()),
    ("a", ("a",)),
    ("a b", ("a", "b")),
    ("  a \t b  ", ("a", "b")),
    ("'a b' c", ("a b", "c")),
    ('"a b"c d', ("a bc", "d")),
    ("a\\ b c", ("a b", "c")),
    ("$B", ("b", "c")),
    ("x$B", ("xb", "c")),
    ("$B$B", ("b", "cb", "c")),
    ('"$B"', ("b c",)),
    ("''", ()),
    ("a '' b", ("a", "b")),
    ("$E a", ("a",)),
    ("${NONE:-p q}", ("p", "q")),
    ("${NONE:-'p q'}", ("p", "q")),
    ("80 $A", ("80", "apple")),
    ("a\xa0b", ("a", "b")),
]


@pytest.mark.parametrize(("text", "expected"), SPLIT, ids=[repr(text) for text, _ in SPLIT])
def test_words_are_split_at_white_space_that_is_not_quoted(text: str, expected: tuple[str, ...]) -> None:
    assert expand_words(text, VARIABLES) == expected


KNOWN = [
    ("$A $NONE", "apple $NONE"),
    ("${A} ${NONE}", "apple ${NONE}"),
    ("'$A' \"$A\"", "'$A' \"apple\""),
    ("${NONE:-w}", "${NONE:-w}"),
    ("${NONE#p}", "${NONE#p}"),
    ("${NONE/a/b}", "${NONE/a/b}"),
    ("${A:-w}", "apple"),
]


@pytest.mark.parametrize(("text", "expected"), KNOWN, ids=[repr(text) for text, _ in KNOWN])
def test_a_label_keeps_quotes_and_what_is_not_set(text: str, expected: str) -> None:
    assert expand_known(text, VARIABLES) == expected


def test_raw_words_keep_everything() -> None:
    assert raw_words("a 'b c' \\$d \"<<E F\" ${x:-y z}") == ("a", "'b c'", "\\$d", '"<<E F"', "${x:-y", "z}")


def test_nesting_is_limited() -> None:
    fine = "${N:-" * MAX_DEPTH + "x" + "}" * MAX_DEPTH
    assert expand_word(fine, {}) == "x"
    with pytest.raises(DockerfileError, match="nested more than"):
        expand_word("${N:-" * 100_000, {})


def test_growth_is_limited() -> None:
    with pytest.raises(DockerfileError, match="expand to more than"):
        expand_word("$A" * 11, {"A": "x" * 30_000})
    with pytest.raises(DockerfileError, match="makes more than"):
        expand_word("${A//?/$B}", {"A": "x" * 1_000, "B": "y" * 1_000})


HOSTILE = [
    ("long text", "x" * 1_000_000, {}),
    ("many quotes", "'a'" * 300_000, {}),
    ("many escapes", "\\a" * 300_000, {}),
    ("many variables", "$A" * 300_000, {"A": ""}),
    ("many dollars in quotes", '"' + "$A" * 300_000 + '"', {"A": ""}),
    ("stars that never match", "${V//" + "a*" * 400 + "b/x}", {"V": "a" * 100_000}),
    ("stars that never match a prefix", "${V##" + "a*" * 400 + "b}", {"V": "a" * 100_000}),
    ("stars that never match a suffix", "${V%%b" + "*a" * 400 + "}", {"V": "a" * 100_000}),
    ("a star on many lines", "${V//a*b/x}", {"V": "aa\n" * 60_000}),
]


@pytest.mark.parametrize(("text", "variables"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_text_takes_linear_time(text: str, variables: dict[str, str]) -> None:
    started = time.perf_counter()
    expand_word(text, variables)
    assert time.perf_counter() - started < 5


@given(st.text(), st.dictionaries(st.sampled_from(string.ascii_letters), st.text()))
def test_any_text_expands_or_is_refused(text: str, variables: dict[str, str]) -> None:
    try:
        words = expand_words(text, variables)
    except DockerfileError:
        return
    assert all(words)


@given(st.text(alphabet="$${}:-+?#%/*\\'\"aAB` \n"), st.sampled_from("\\`"))
def test_any_syntax_expands_or_is_refused(text: str, escape: str) -> None:
    for error in (
        refusal(lambda: expand_word(text, VARIABLES, escape=escape)),
        refusal(lambda: expand_words(text, VARIABLES, escape=escape)),
        refusal(lambda: expand_known(text, VARIABLES, escape=escape)),
    ):
        assert error is None or error.message


@given(st.text(alphabet=st.characters(exclude_characters="$'\"\\")))
def test_text_without_special_characters_stays(text: str) -> None:
    assert expand_word(text, VARIABLES) == text


@given(st.text(alphabet=st.characters(exclude_characters="'")))
def test_single_quotes_keep_everything(text: str) -> None:
    assert expand_word(f"'{text}'", VARIABLES) == text


def _matches(pattern: str, value: str) -> bool:
    """The obvious, slow way to match a glob."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(_matches(pattern[1:], value[cut:]) for cut in range(len(value) + 1))
    return bool(value) and pattern[0] in {"?", value[0]} and _matches(pattern[1:], value[1:])


SHORT = st.text(alphabet="ab", max_size=8)
PATTERN = st.text(alphabet="ab*?", max_size=5)


@given(SHORT, PATTERN)
def test_trimming_removes_what_the_obvious_matcher_finds(value: str, pattern: str) -> None:
    heads = [cut for cut in range(len(value) + 1) if _matches(pattern, value[:cut])]
    tails = [cut for cut in range(len(value) + 1) if _matches(pattern, value[cut:])]
    given_ = {"V": value, "P": pattern}
    assert expand_word("${V#$P}", given_) == (value[min(heads) :] if heads else value)
    assert expand_word("${V%$P}", given_) == (value[: max(tails)] if tails else value)
    if not pattern.startswith(("#", "%")):
        assert expand_word("${V##$P}", given_) == (value[max(heads) :] if heads else value)
        assert expand_word("${V%%$P}", given_) == (value[: min(tails)] if tails else value)


@given(SHORT, PATTERN)
def test_replacing_finds_the_leftmost_longest_match(value: str, pattern: str) -> None:
    spans = [
        (start, -end)
        for start in range(len(value) + 1)
        for end in range(start, len(value) + 1)
        if _matches(pattern, value[start:end])
    ]
    expected = value
    if spans:
        start, end = min(spans)
        expected = value[:start] + "-" + value[-end:]
    assert expand_word("${V/$P/-}", {"V": value, "P": pattern}) == expected
