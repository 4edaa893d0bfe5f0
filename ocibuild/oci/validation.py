"""Validation of JSON documents against the schemas in ``schemas/``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ocibuild.errors import InvalidDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema.protocols import Validator

_SCHEMAS = ("descriptor", "manifest", "index", "config", "layout")
_URI = "urn:ocibuild:schema:"
_LONGEST_MESSAGE = 200


def validate(document: Any, schema: str, *, what: str) -> None:
    """Check a JSON document against one of our schemas: descriptor, manifest, index, config or layout.

    Raises InvalidDocument for the first fault, with the place of it:
    ``<what>: layers[2].size: -1 is less than the minimum of 0``. Importing jsonschema takes 0.1 s, the first call.
    """
    try:
        fault = next(_validator(schema).iter_errors(document), None)
    except RecursionError:
        raise InvalidDocument(f"{what}: nested too deeply") from None
    if fault is None:
        return
    place = _place(fault.absolute_path)
    message = fault.message if len(fault.message) <= _LONGEST_MESSAGE else fault.message[:_LONGEST_MESSAGE] + "…"
    raise InvalidDocument(": ".join(filter(None, (what, place, message))))


def prepare_validation() -> None:
    """Load what validating an image's documents takes: for a thread that would otherwise wait."""
    for schema in ("config", "manifest"):
        _validator(schema)


def _place(path: Iterable[str | int]) -> str:
    """Return the path of a member as one would write it in code: ``layers[2].annotations['a b']``."""
    place = ""
    for key in path:
        if isinstance(key, str) and key.isidentifier():
            place += f".{key}"
        else:
            place += f"[{key!r:.80}]"
    return place.removeprefix(".")


@functools.cache
def _validator(schema: str) -> Validator:
    from jsonschema import Draft202012Validator, validators

    # To JSON Schema 1.0 is an integer. To the Go programs that read the same document it is an error.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    extend: Any = validators.extend
    validator: Validator = extend(Draft202012Validator, type_checker=types)(
        {"$ref": _URI + schema}, registry=_registry()
    )
    return validator


@functools.cache
def _registry() -> Any:
    """Return the schemas by their ``$id``, so that references between them never leave this machine."""
    import json

    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    documents = [json.loads(_read(name)) for name in _SCHEMAS]
    for document in documents:
        del document["$schema"]  # where it is named, jsonschema goes back to its own idea of the types
    return Registry().with_resources((document["$id"], DRAFT202012.create_resource(document)) for document in documents)


def _read(name: str) -> bytes:
    """Return a schema's text: from inside the installed package, else from the checkout beside it."""
    from importlib.resources import files

    package = files("ocibuild")
    inside = package / "schemas" / f"{name}.json"
    if inside.is_file():
        return inside.read_bytes()
    return (package / ".." / "schemas" / f"{name}.json").read_bytes()
