"""Values printed as Go's fmt does: the texts in an image's history are such prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}
_MAX_RUNE = 0x10FFFF


def quote(text: str) -> str:
    """Return ``text`` as ``%q`` prints a string."""
    return '"' + "".join(_escaped(character, '"') for character in text) + '"'


def quote_list(texts: Sequence[str]) -> str:
    """Return ``texts`` as ``%q`` prints a slice of strings: ``["a" "b"]``."""
    return f"[{' '.join(map(quote, texts))}]"


def plain_list(texts: Sequence[str]) -> str:
    """Return ``texts`` as ``%v`` prints a slice of strings: ``[a b]``."""
    return f"[{' '.join(texts)}]"


def quote_rune(number: int) -> str:
    """Return ``number`` as ``%q`` prints an integer: the character that it is, in single quotes."""
    if number > _MAX_RUNE or 0xD800 <= number <= 0xDFFF:
        number = 0xFFFD
    return f"'{_escaped(chr(number), chr(39))}'"


def _escaped(character: str, delimiter: str) -> str:
    if character == delimiter:
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
