"""What ``--call`` prints, as lines to compare: what it found, but not its prose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_report(call: str, text: bytes, status: int) -> tuple[str, ...]:
    """Return the lines of a report in JSON: of the checks, of the outline of a target, or of the targets.

    ``status`` is how the program ended: it says whether the checks found something.
    """
    read = {"check": _check, "outline": _outline, "targets": _targets}[call]
    return (*read(json.loads(text)), f"exit status {status}")


def _check(document: Mapping[str, Any]) -> list[str]:
    warnings = [
        f"{warning['ruleName']} {_lines(warning)}: {warning['detail']} ({warning['description']} {warning.get('url')})"
        for warning in document.get("warnings") or []
    ]
    error = document.get("buildError")
    # the order in which the checks look at the file is of no matter
    return sorted(warnings) + ([f"error {_lines(error)}"] if error else [])


def _lines(found: Mapping[str, Any]) -> str:
    ranges = (found.get("location") or {}).get("ranges") or []
    return "at " + ",".join(f"{each['start']['line']}-{each['end']['line']}" for each in ranges)


def _outline(document: Mapping[str, Any]) -> list[str]:
    found = [f"{key}: {document[key]}" for key in ("name", "description") if document.get(key)]
    for kind in ("args", "secrets", "ssh", "cache"):
        for entry in document.get(kind) or []:
            kept = {key: value for key, value in sorted(entry.items()) if key != "location" and value not in (None, "")}
            found.append(f"{kind}: {kept}")
    return found


def _targets(document: Mapping[str, Any]) -> list[str]:
    return [
        str({key: value for key, value in sorted(target.items()) if key != "location" and value})
        for target in document.get("targets") or []
    ]
