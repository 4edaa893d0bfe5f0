"""The functions of a template: Go's own, and those that docker adds.

They raise TypeError for arguments of other kinds, and LookupError for what is not there.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ocibuild.cli.gotemplate.values import is_true, written

if TYPE_CHECKING:
    from collections.abc import Callable

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?P<precision>\.\d*)?(?P<verb>.?)", re.DOTALL)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{written(value)} is not a string")
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _length(value: object) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise TypeError(f"{written(value)} has no length")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _index(value: object, *keys: object) -> object:
    for key in keys:
        match value:
            case dict():
                value = value.get(key, "")
            case list() | tuple() if isinstance(key, int) and 0 <= key < len(value):
                value = value[key]
            case list() | tuple():
                raise LookupError(f"the index {written(key)} is out of a list of {len(value)}")
            case _:
                raise TypeError(f"{written(value)} cannot be indexed")
    return value


def _slice(value: object, *bounds: int) -> object:
    if not isinstance(value, str | list | tuple) or len(bounds) > 2:
        raise TypeError(f"{written(value)} cannot be cut")
    first, last = (*bounds, *(0, len(value))[len(bounds) :])
    if not 0 <= first <= last <= len(value):
        raise LookupError(f"{first} to {last} is out of a length of {len(value)}")
    return value[first:last]


def _joined(values: object, separator: str) -> str:
    if not isinstance(values, list | tuple):
        raise TypeError(f"{written(values)} is not a list")
    return separator.join(map(_text, values))


def _title(text: str) -> str:
    return re.sub(r"(?<!\S)\S", lambda first: first[0].upper(), _text(text))


def _truncated(text: str, length: int) -> str:
    return _text(text)[:length]


def _padded(text: str, before: int, after: int) -> str:
    return f"{' ' * before}{text}{' ' * after}" if text else text


def _print(*values: object) -> str:
    """Write values with a space between two of which neither is a string."""
    text = ""
    for place, value in enumerate(values):
        apart = place > 0 and not isinstance(value, str) and not isinstance(values[place - 1], str)
        text += (" " if apart else "") + written(value)
    return text


def _print_line(*values: object) -> str:
    return " ".join(map(written, values)) + "\n"


def _print_formatted(form: str, *values: object) -> str:
    """See https://pkg.go.dev/fmt; raises TypeError for a value that a verb is not for."""
    left = list(values)

    def formatted(verb: re.Match[str]) -> str:
        if verb["verb"] == "%":
            return "%"
        if not left:
            raise TypeError(f"there is no argument for {verb[0]}")
        spec = f"%{verb['flags']}{verb['width']}{verb['precision'] or ''}"
        return _formatted(spec, verb["verb"], left.pop(0))

    text = _VERB.sub(formatted, form)
    if left:
        raise TypeError(f"there are more arguments than {form!r} has room for")
    return text


def _formatted(spec: str, verb: str, value: object) -> str:
    match verb, value:
        case "s" | "v", _:
            return f"{spec}s" % written(value)
        case "q", str():
            return f"{spec}s" % json.dumps(value, ensure_ascii=False)
        case "t", bool():
            return f"{spec}s" % written(value)
        case "d" | "x" | "X" | "o" | "c", int() if not isinstance(value, bool):
            return f"{spec}{verb}" % value
        case "x" | "X", str():
            encoded = value.encode().hex()
            return f"{spec}s" % (encoded if verb == "x" else encoded.upper())
        case "e" | "E" | "f" | "F" | "g" | "G", int() | float() if not isinstance(value, bool):
            return f"{spec}{verb}" % value
        case _:
            raise TypeError(f"%{verb} is not for {written(value)}")


def _is_equal(first: object, *others: object) -> bool:
    if not others:
        raise TypeError("there is nothing to compare with")
    return any(_kind(first) == _kind(other) and first == other for other in others)


def _kind(value: object) -> str:
    """Return what a value can be compared with; Go refuses other pairs, JSON makes some numbers floats."""
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def compared(first: object, second: object) -> bool:
        if _kind(first) != _kind(second) or _kind(first) not in ("number", "str"):
            raise TypeError(f"{written(first)} and {written(second)} cannot be compared")
        return compare(first, second)

    return compared


LAZY: Final = frozenset({"and", "or"})
"""Functions that look at an argument only where those before it have not decided."""

FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "eq": _is_equal,
    "ge": _ordered(lambda first, second: first >= second),
    "gt": _ordered(lambda first, second: first > second),
    "index": _index,
    "join": _joined,
    "json": _json,
    "le": _ordered(lambda first, second: first <= second),
    "len": _length,
    "lower": lambda text: _text(text).lower(),
    "lt": _ordered(lambda first, second: first < second),
    "ne": lambda first, second: not _is_equal(first, second),
    "not": lambda value: not is_true(value),
    "pad": _padded,
    "print": _print,
    "printf": _print_formatted,
    "println": _print_line,
    "slice": _slice,
    "split": lambda text, separator: _text(text).split(separator) if separator else list(_text(text)),
    "title": _title,
    "truncate": _truncated,
    "upper": lambda text: _text(text).upper(),
}

OF_HEADINGS: Final = {
    **FUNCTIONS,
    **dict.fromkeys(("join", "json", "lower", "split", "title", "truncate", "upper"), lambda value, *_: value),
}
"""The functions where a heading takes the place of each value: those that change a value leave it."""
