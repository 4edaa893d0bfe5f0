from __future__ import annotations

import json
import time

import pytest

from ocibuild.registry.http.messages import Answer
from ocibuild.registry.identity.credentials import IdentityToken, Password
from ocibuild.registry.identity.tokens import Token, lifetime, read_token, token_request

DAY = 86_400


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (300, 300),
        (0.5, 0.5),
        ("300", 300),
        (0, 60),
        (-1, 60),
        (10**400, DAY),
        (float("inf"), DAY),
        (float("nan"), 60),
        ("x", 60),
        ("", 60),
        (True, 60),
        (None, 60),
        ([], 60),
        ({}, 60),
        ("9" * 5000, DAY),
    ],
    ids=repr,
)
def test_a_token_lives_some_time_whatever_is_said(said: object, seconds: float) -> None:
    assert lifetime(said) == seconds


def answer(document: dict[str, object]) -> Token:
    return read_token(Answer(200, {}, json.dumps(document).encode(), ""), "subject")


def test_when_a_token_was_issued_does_not_count() -> None:
    token = answer({"token": "t", "expires_in": 100, "issued_at": "1970-01-01T00:00:00Z"})
    assert 80 < token.until - time.monotonic() <= 90


@pytest.mark.parametrize(("refresh", "identity"), [("r", IdentityToken("r")), ("", None), (1, None), (None, None)])
def test_a_refresh_token_is_read(refresh: object, identity: IdentityToken | None) -> None:
    assert answer({"access_token": "t", "refresh_token": refresh}).identity == identity


def test_secrets_are_not_shown() -> None:
    shown = repr(answer({"token": "hush", "refresh_token": "hush"}))
    for credential in (Password("u", "hush"), IdentityToken("hush")):
        shown += repr(token_request("https://t.example/", "s", (), credential, offline=True, subject="x"))
    assert "hush" not in shown


def test_a_password_is_in_no_url() -> None:
    request = token_request("https://t.example/?a=b", "s", ("x:y:z",), Password("u", "hush"), offline=True, subject="x")
    assert request.url == (
        "https://t.example/?a=b&service=s&scope=x%3Ay%3Az&account=u&client_id=ocibuild&offline_token=true"
    )
