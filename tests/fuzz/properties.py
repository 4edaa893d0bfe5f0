"""What holds for any input; an AssertionError or another exception is a bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.shell.words import expand_known, expand_word, expand_words
from ocibuild.errors import DockerfileError, DockerfileErrors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def parsing_is_safe(data: bytes) -> None:
    """Parsing ends with a value, which printed and parsed again is the same, or with located errors."""
    try:
        parsed = parse(data, file="D")
    except DockerfileError as error:
        for one in error.errors if isinstance(error, DockerfileErrors) else [error]:
            assert one.location is not None
            assert 1 <= one.location.first <= one.location.last
            assert one.message.isprintable()
        return
    printed = str(parsed)
    again = parse(printed.encode("utf-8", "surrogateescape"), file="D")
    assert again == parsed
    assert str(again) == printed


def expanding_is_safe(text: str, variables: Mapping[str, str], escape: str) -> None:
    """Expanding ends with the same words each time, or with the same typed error."""
    for expand in (expand_word, expand_words, expand_known):
        assert _outcome(expand, text, variables, escape) == _outcome(expand, text, variables, escape)


def _outcome(expand: Callable[..., object], text: str, variables: Mapping[str, str], escape: str) -> object:
    try:
        return expand(text, variables, escape=escape)
    except DockerfileError as error:
        return str(error)
