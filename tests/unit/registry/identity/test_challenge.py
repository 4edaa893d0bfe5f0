from __future__ import annotations

import pytest

from ocibuild.registry.identity.challenge import Challenge, merge_scopes, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", ()),
        ("Basic", (Challenge("basic"),)),
        ('Basic realm="a b, c"', (Challenge("basic", {"realm": "a b, c"}),)),
        (
            'Bearer realm="https://auth.example/token",service="s",scope="repository:a/b:pull,push"',
            (
                Challenge(
                    "bearer",
                    {"realm": "https://auth.example/token", "service": "s", "scope": "repository:a/b:pull,push"},
                ),
            ),
        ),
        ('BEARER Realm = "x" , Service=y', (Challenge("bearer", {"realm": "x", "service": "y"}),)),
        (
            'Basic realm="x", Bearer realm="y"',
            (Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})),
        ),
        (r'Basic realm="a\"b\\c"', (Challenge("basic", {"realm": r"a\"b\c".replace(r"\"", '"')}),)),
        ('Basic realm="open', (Challenge("basic", {"realm": "open"}),)),
        ('Basic realm="first", realm="second"', (Challenge("basic", {"realm": "first"}),)),
        ('Basic realm="x" ; nonsense', (Challenge("basic", {"realm": "x"}),)),
    ],
)
def test_a_header_is_read(header: str, challenges: tuple[Challenge, ...]) -> None:
    assert parse_challenges(header) == challenges


@pytest.mark.parametrize("text", [",", "a ", "a=", 'a="', "\\", '"'], ids=str)
def test_a_long_header_ends(text: str) -> None:
    parse_challenges(text * 200_000)


def test_scopes_of_one_repository_become_one() -> None:
    assert merge_scopes(["repository:a:pull", "repository:b:pull", "repository:a:pull,push", "nonsense"]) == (
        "repository:a:pull,push",
        "repository:b:pull",
    )
