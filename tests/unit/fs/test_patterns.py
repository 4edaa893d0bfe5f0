from __future__ import annotations

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.fs import IgnorePatterns, Match, PatternError, has_wildcard


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ж]*", "β", True),
        ("*[a-ж]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "-", True),
        ("[\\-x]", "a", False),
        ("[z-a]", "m", False),
        ("*x", "xxx", True),
        ("**", "ab", True),
        ("a.c", "abc", False),
        ("*", "a\nb", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_pattern_matches_as_in_go(pattern: str, name: str, *, matches: bool) -> None:
    assert Match(pattern)(name) is matches


@pytest.mark.parametrize("pattern", ["[]a]", "[-]", "[x-]", "[-x]", "[", "[^", "[^bc", "a[", "a[-b]", "a\\", "[a-b-c]"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Match(pattern)


@pytest.mark.parametrize(
    ("patterns", "name", "excluded"),
    [
        (["**"], "file", True),
        (["**"], "dir/file", True),
        (["**/"], "dir/file", True),
        (["dir/**"], "dir/file", True),
        (["dir/**"], "dir", False),
        (["**/dir2/*"], "dir/dir2/file", True),
        (["**/dir2/**"], "dir/dir2/dir2/file", True),
        (["a**/*.txt"], "abcd/file.txt", True),
        (["a**b"], "ab", True),
        (["a**b"], "ax/b", True),
        (["a**b"], "axb", False),
        (["**/a/**/b"], "x/a/y/z/b", True),
        (["**/a/**/b"], "a/b", True),
        (["**/a*c/**/b"], "x/abc/a/b", True),
        (["**/a*c/**/b"], "x/abd/y/b", False),
        (["**/**/x**y"], "a/x/y", True),
        (["a[b]"], "ab", True),
        (["a"], "a/b/c", True),
        (["a/b"], "a", False),
        (["*/b"], "x/b/c/d", True),
        (["*", "!keep"], "keep/this", False),
        (["*", "!keep", "keep/not"], "keep/not", True),
        (["a", "!a/b", "a/b/c"], "a/b/c/d", True),
        (["a", "!a/b", "a/b/c"], "a/b/x", False),
        ([], "a", False),
    ],
)
def test_a_list_excludes_as_in_docker(patterns: list[str], name: str, *, excluded: bool) -> None:
    assert IgnorePatterns(patterns).matches(name) is excluded


def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    patterns = IgnorePatterns(["a/*/c", "!a/b/c/d"])
    names = ["a/b/c/d/e", "a/b", "a/b/c", "a/b/c/x", "a/b/c/d"]
    assert [patterns.matches(name) for name in names] == [
        IgnorePatterns(["a/*/c", "!a/b/c/d"]).matches(n) for n in names
    ]


@pytest.mark.parametrize("pattern", ["!", "", "![a", "[b-a]", "x/[^a-cz-y]"])
def test_a_malformed_list_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        IgnorePatterns([pattern])


def test_wildcards_are_seen() -> None:
    assert [has_wildcard(text) for text in ("a*", "a?", "[a]", "\\a", "a.b-c")] == [True, True, True, True, False]


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/a" * 20 + "/b", "**/*a*a*a*a*b", "a**" * 12 + "b"])
@pytest.mark.parametrize("name", ["a" * 2000, "a/" * 1000 + "c"], ids=["long", "deep"])
def test_no_pattern_takes_long(pattern: str, name: str) -> None:
    started = time.process_time()
    assert not IgnorePatterns([pattern])._matchers[0](name)
    assert time.process_time() - started < 5


_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_ALPHABET = st.text("ab/*?", max_size=8)


@_PATIENT
@given(_ALPHABET, st.text("ab/", max_size=10))
def test_stars_are_those_of_a_plain_regular_expression(pattern: str, name: str) -> None:
    plain = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    assert Match(pattern)(name) is bool(re.fullmatch(plain, name))


@_PATIENT
# of three stars in a row the first two are taken together, which the plain expression cannot tell; what two stars
# begin without a slash is the end of a name, see below
@given(
    st.text("ab/*", min_size=1, max_size=9).filter(lambda text: "***" not in text and not re.match(r"\*\*[^/]", text)),
    st.text("ab/", max_size=10),
)
def test_double_stars_are_those_of_a_plain_regular_expression(pattern: str, name: str) -> None:
    plain = re.sub(r"\*\*/?$", "\0", pattern)
    plain = re.sub(r"\*\*/?", "(.\1/)?", plain).replace("*", "[^/]*").replace("\0", ".*").replace("\1", "*")
    assert IgnorePatterns([pattern])._matchers[0](name) is bool(re.fullmatch(plain, name, re.DOTALL))


@pytest.mark.parametrize("name", ["a", "aa", "b/a", "b/aa"])
def test_what_two_stars_begin_without_a_slash_is_the_end_of_a_name(name: str) -> None:
    """So moby's patternmatcher takes it, which looks at the end alone where there is no other wildcard."""
    assert IgnorePatterns(["**a"])._matchers[0](name)
    assert not IgnorePatterns(["**a"])._matchers[0](f"{name}b")
