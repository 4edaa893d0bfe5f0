from __future__ import annotations

import pytest

from ocibuild.errors import NotFound, RegistryError, Unauthorized
from ocibuild.registry.http.messages import Answer, failure, one_line

SUBJECT = "docker.io/library/nope:latest"


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (401, Unauthorized, False),
        (403, Unauthorized, False),
        (404, NotFound, False),
        (400, RegistryError, False),
        (429, RegistryError, True),
        (503, RegistryError, True),
        (599, RegistryError, True),
    ],
)
def test_a_status_is_an_error_of_its_kind(status: int, kind: type[RegistryError], *, retryable: bool) -> None:
    error = failure(Answer(status, {}, b"", "http://x/"), SUBJECT)
    assert type(error) is kind
    assert (error.status, error.retryable) == (status, retryable)
    assert str(error).startswith(f"{SUBJECT}: ")


def test_the_first_code_and_message_of_the_body_are_taken() -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "not\\nfor you"}, {"code": "OTHER"}]}'
    error = failure(Answer(403, {}, body, ""), SUBJECT)
    assert error.code == "DENIED"
    assert "not for you" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", b'{"errors": []}', b'{"errors": [1]}', b'{"errors": [{"code": 7}]}', b"[" * 100_000],
)
def test_a_body_of_any_kind_is_survived(body: bytes) -> None:
    assert failure(Answer(500, {}, body, ""), SUBJECT).status == 500


def test_what_is_not_found_is_said_in_one_line_with_a_remedy() -> None:
    error = failure(Answer(404, {}, b"", ""), SUBJECT)
    assert error.message == "docker.io/library/nope:latest: not found in the registry"
    assert error.remedy


def test_what_is_not_authorised_says_where_credentials_go() -> None:
    assert "ocibuild login" in str(failure(Answer(401, {}, b"", ""), SUBJECT))


def test_control_characters_and_length_do_not_reach_the_terminal() -> None:
    assert one_line("a\x1b[31m\r\n b") == "a [31m b"
    assert len(one_line("x" * 10_000)) < 300
