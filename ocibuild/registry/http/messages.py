"""What is sent and what comes back, as plain values, and what an answer means as an error."""

from __future__ import annotations

import json
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from ocibuild.errors import NotFound, RegistryError, Unauthorized
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN = 200  # characters of what a stranger says


class Body(Protocol):
    """A request's body: its pieces, from the beginning each time it is iterated.

    One with ``len()`` is that many bytes long; without, the length is known only at the end.
    """

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``subject`` is what errors call it (a reference, as the user knows it)."""

    method: str
    url: str
    subject: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was read to its end; ``headers`` ignores the case of names, ``url`` is after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def failure(answer: Answer, subject: str) -> RegistryError:
    """Return the error that an unwanted answer is, in one line.

    See distribution-spec, "Error Codes".
    """
    code, detail = _first_error(answer.body)
    said = f": {detail}" if detail else ""
    if answer.status in (401, 403):
        return Unauthorized(
            f"{subject}: access refused: it does not exist, or needs (other) credentials{said}",
            code=code or "UNAUTHORIZED",
            status=answer.status,
            remedy="`ocibuild login` keeps credentials for a registry",
        )
    if answer.status == 404:
        return NotFound(
            f"{subject}: not found in the registry",
            code=code,
            status=answer.status,
            remedy="check the name and the tag or digest",
        )
    if answer.status == 429:
        return RegistryError(
            f"{subject}: the registry's rate limit is reached{said}",
            code=code or "TOOMANYREQUESTS",
            status=answer.status,
            retryable=True,
            remedy="wait, or log in with `ocibuild login`: it raises the limit",
        )
    return RegistryError(
        f"{subject}: the registry answers {answer.status} {_phrase(answer.status)}{said}",
        code=code,
        status=answer.status,
        retryable=answer.status >= 500,
    )


def one_line(text: str) -> str:
    """Return ``text`` fit for a terminal: one line, no control characters, of bounded length."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 2 * _SHOWN])
    words = " ".join(printable.split())
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"


def _first_error(body: bytes) -> tuple[str, str]:
    """Return code and message of the first error in the body, empty where there is none."""
    try:
        first = json.loads(body)["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""
    return _text(code), _text(message) or _text(code)


def _text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
