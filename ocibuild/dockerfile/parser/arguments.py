"""An instruction's line cut into its name, its flags and its arguments, in the forms that arguments come in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from ocibuild.dockerfile.parser.lines import SURROGATE
from ocibuild.dockerfile.shell.space import SPACE
from ocibuild.errors import DockerfileError
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASCII_SPACE = "\t\n\v\f\r "
_IN_FLAG = re.compile(r"[^\\'\"\t\n\v\f\r ]+|\\.?|['\"\t\n\v\f\r ]", re.DOTALL)
_BLANKS = re.compile(r"[\t\v\f\r ]+")


class Statement(NamedTuple):
    """A line cut up: ``name`` as written, ``flags`` as ``--name`` or ``--name=value`` with quotes removed, ``rest``."""

    name: str
    flags: tuple[str, ...]
    rest: str


def split_statement(text: str) -> Statement:
    """Cut ``text``, which is not blank, into instruction name, flags and the rest."""
    name, *rest = _BLANKS.split(text.strip(SPACE), maxsplit=1)
    if not rest:
        return Statement(name, (), "")
    if not rest[0].startswith("--"):
        return Statement(name, (), rest[0].strip(SPACE))
    flags, end = _leading_flags(rest[0])
    return Statement(name, tuple(flags), rest[0][end:].strip(SPACE))


def _leading_flags(text: str) -> tuple[list[str], int]:
    flags: list[str] = []
    position = 0
    while text.startswith("--", position):
        flag, position = _flag(text, position)
        while position < len(text) and text[position] in _ASCII_SPACE:
            position += 1
        if flag == "--":
            break
        flags.append(flag)
    return flags, position


def _flag(text: str, position: int) -> tuple[str, int]:
    """Read one flag: quotes group and are removed, a backslash takes the next character as it is."""
    word: list[str] = []
    quote = ""
    while position < len(text) and (found := _IN_FLAG.match(text, position)):
        token = found[0]
        if not quote and token[0] in _ASCII_SPACE:
            break
        position = found.end()
        if token == quote:
            quote = ""
        elif not quote and token in {"'", '"'}:
            quote = token
        else:
            word.append(token.removeprefix("\\"))
    return "".join(word), position


def blank_separated(rest: str) -> tuple[str, ...]:
    """Return the parts of ``rest`` between blanks, quotes having no meaning."""
    return tuple(_BLANKS.split(rest)) if rest else ()


def first_blank(rest: str) -> tuple[str, str | None]:
    """Return what stands before and after the first run of blanks; None where there is none."""
    before, *after = _BLANKS.split(rest, maxsplit=1)
    return before, after[0] if after else None


def quoted_words(rest: str, *, escape: str) -> tuple[str, ...]:
    """Return the words of ``rest``, where quotes and escapes hide white space and are kept for expansion later."""
    if not any(character in rest for character in f"'\"{escape}"):
        return tuple(filter(None, re.split(f"[{SPACE}]+", rest)))
    return tuple(_quoted_words(rest, escape))


def _quoted_words(rest: str, escape: str) -> Iterator[str]:
    token = re.compile(
        rf"(?P<space>[{SPACE}]+)|(?P<escaped>{re.escape(escape)}(?P<next>.)?)|(?P<quote>['\"])|"
        rf"[^{SPACE}'\"{re.escape(escape)}]+",
        re.DOTALL,
    )
    word: list[str] = []
    position = 0
    while found := token.match(rest, position):
        position = found.end()
        if found["space"]:
            if word:
                yield "".join(word)
            word = []
        elif found["quote"]:
            inside, position = _inside_quotes(rest, position, found["quote"], escape)
            word += [found["quote"], inside]
        elif not found["escaped"] or found["next"]:
            word.append(found[0])
    if word:
        yield "".join(word)


def _inside_quotes(rest: str, position: int, quote: str, escape: str) -> tuple[str, int]:
    """Return what follows an opening quote, its closing quote included, and where it ends; it may be left open."""
    body = r"[^']*'?" if quote == "'" else rf'(?:[^"{re.escape(escape)}]+|{re.escape(escape)}.)*+"?'
    found = re.compile(body, re.DOTALL).match(rest, position)
    assert found is not None
    end = found.end()
    if quote == '"' and end == len(rest) - 1 and rest[end] == escape:
        return found[0], end + 1
    return found[0], end


def json_strings(rest: str) -> tuple[str, ...] | None:
    """Return the strings of ``rest`` where it is a JSON array, None where it is not, which makes it shell form.

    Raises DockerfileError for an array that holds anything but strings.
    """
    if not rest.startswith("["):
        return None
    try:
        found = json.loads(rest, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(SURROGATE.sub("\ufffd", item) for item in found)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
