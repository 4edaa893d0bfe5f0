"""JSON from strangers in, deterministic JSON out.

Reading refuses what different parsers read differently (a key given twice, NaN, text that is not Unicode) and what is
nested or sized beyond reason. The small readers give one member of an object with its type checked, and take null as
absent, because Go programs write their empty lists and maps so.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ocibuild.errors import InvalidDigest, InvalidDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_BYTES = 16 << 20  # four times what registries take for a manifest
MAX_DEPTH = 64

_PLAIN_MAPS = frozenset({"annotations", "Labels", "ExposedPorts", "Volumes"})


def loads(data: bytes, *, what: str) -> dict[str, Any]:
    """Return the JSON object that ``data`` is, without its null members; raises InvalidDocument for anything else.

    The members of maps with free keys (annotations, labels, volumes, ports) are kept even where they are null.
    """
    document = _loads(data, what)
    if not isinstance(document, dict):
        raise InvalidDocument(f"{what}: not a JSON object")
    return document


def loads_objects(data: bytes, *, what: str) -> tuple[dict[str, Any], ...]:
    """Return the JSON array of objects that ``data`` is, as ``loads`` returns one."""
    document = _loads(data, what)
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise InvalidDocument(f"{what}: not a JSON array of objects")
    return tuple(document)


def _loads(data: bytes, what: str) -> Any:
    if len(data) > MAX_BYTES:
        raise InvalidDocument(f"{what}: {len(data)} bytes are more than the limit of {MAX_BYTES}")
    try:
        document = _decode()(data.decode())
    except RecursionError:
        raise InvalidDocument(f"{what}: nested too deeply") from None
    except ValueError as error:
        raise InvalidDocument(f"{what}: not JSON: {error!s:.160}") from error
    # most documents cannot have what is looked for, and hundreds of them are read to list the images of a store
    if b"\\u" in data or data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check(document, what)
    return _without_nulls(document) if b"null" in data else document


@cache
def _decode() -> Callable[[str], Any]:
    import json

    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def dumps(document: Mapping[str, Any], *, what: str) -> bytes:
    """Return ``document`` as compact UTF-8 JSON, its members in the order they have."""
    import json

    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidDocument(
            f"{what}: text that is not UTF-8: {text[max(0, error.start - 20) : error.end]!r}"
        ) from error


@contextmanager
def within(what: str) -> Iterator[None]:
    """Say in which document a member is that turns out not to be what it should."""
    try:
        yield
    except (InvalidDocument, InvalidDigest) as error:
        raise InvalidDocument(f"{what}: {error.message}", remedy=error.remedy) from error


def compact(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members as an object in the same order; those that are None, empty, 0 or False are left out."""
    return {key: value for key, value in members if value}


def objects(document: Mapping[str, Any], key: str) -> tuple[dict[str, Any], ...]:
    """Return the list of objects at ``key``, empty where there is none."""
    return tuple(_each(document, key, dict))


def strings(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the list of strings at ``key``, empty where there is none."""
    return tuple(_each(document, key, str))


def maybe_strings(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """Return the list of strings at ``key``, None where there is none: an empty list means something else."""
    return None if document.get(key) is None else strings(document, key)


def string_map(document: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return the map of strings at ``key``, empty where there is none."""
    found = maybe_object(document, key) or {}
    for name, value in found.items():
        _expect(value, str, f"{key}[{name!r:.80}]")
    return found


def names(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the keys of the object at ``key``, in order, empty where there is none."""
    return tuple(maybe_object(document, key) or ())


def maybe_object(document: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Return the object at ``key``, None where there is none."""
    value = document.get(key)
    if value is not None:
        _expect(value, dict, key)
    return value


def maybe_text(document: Mapping[str, Any], key: str) -> str | None:
    """Return the string at ``key``, None where there is none."""
    value = document.get(key)
    if value is None or type(value) is str:  # what it mostly is
        return value
    _expect(value, str, key)
    return str(value)


def text(document: Mapping[str, Any], key: str) -> str:
    """Return the string at ``key``; raises InvalidDocument where there is none."""
    value = document.get(key)
    _expect(value, str, key)
    return str(value)


def integer(document: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return the integer at ``key``, else ``default``; raises InvalidDocument where there is neither."""
    value = document.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidDocument(f"{key}: {value!r:.80} is not an integer")
    return value


def boolean(document: Mapping[str, Any], key: str) -> bool:
    """Return the truth value at ``key``, False where there is none."""
    value = document.get(key)
    if value is None:
        return False
    _expect(value, bool, key)
    return bool(value)


def _each(document: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    _expect(value, list, key)
    for position, item in enumerate(value):
        _expect(item, kind, f"{key}[{position}]")
    return list(value)


_KINDS = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}


def _expect(value: object, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        raise InvalidDocument(f"{where}: {value!r:.80} is not {_KINDS[kind]}")


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        keys = sorted(key for key, _ in members)
        twice = next(key for key, following in itertools.pairwise(keys) if key == following)
        raise ValueError(f"the key {twice!r:.80} is given twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check(document: object, what: str) -> None:
    """Refuse a document that is nested too deeply or holds text that is not Unicode."""
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                _check_text(value, what)
        level = below
        if not level:
            return
    raise InvalidDocument(f"{what}: nested deeper than {MAX_DEPTH} levels")


def _check_text(value: str, what: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidDocument(f"{what}: {value!r:.80} is not Unicode text") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item if key in _PLAIN_MAPS else _without_nulls(item) for key, item in value.items() if item is not None
    }
