"""A list of fields with commas between them, as in ``--mount=type=cache,target=/x`` (RFC 4180, on one line)."""

from __future__ import annotations

import re

from ocibuild.errors import DockerfileError

_FIELD = re.compile(r'"((?:[^"]|"")*+)"(?=,|\Z)|([^",]*+)(?=,|\Z)', re.DOTALL)


def csv_fields(text: str) -> tuple[str, ...]:
    """Return the fields of ``text``, at least one; one in double quotes may hold commas, and ``""`` for a quote.

    Raises DockerfileError for an empty text, and for quotes that stand in the middle of a field or are not closed.
    """
    if not text:
        raise DockerfileError("an empty list of fields", remedy="write NAME=VALUE,NAME=VALUE")
    fields: list[str] = []
    position = 0
    while position <= len(text):
        found = _FIELD.match(text, position)
        if found is None:
            raise DockerfileError(f"a stray double quote in {text!r}", remedy='write "NAME=VALUE" around a whole field')
        fields.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        position = found.end() + 1
    return tuple(fields)
