"""What ``ocibuild build --call`` prints: the texts and the JSON documents of ``docker build --call``."""

from __future__ import annotations

import base64
import codecs
import json
import os
from typing import TYPE_CHECKING, Any, Final

from ocibuild.cli.text import printable
from ocibuild.errors import DockerfileErrors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocibuild.build import CheckReport, OutlineReport, TargetsReport
    from ocibuild.dockerfile.lint import Finding
    from ocibuild.dockerfile.reports.outline import Demand
    from ocibuild.dockerfile.reports.targets import BuildTarget
    from ocibuild.errors import OcibuildError, SourceRange

_RULE: Final = "-" * 20


def check_text(report: CheckReport) -> str:
    """Return the findings in the order of their lines, each with the lines around it."""
    count = len(report.findings)
    if report.clean:
        return "Check complete, no warnings found.\n"
    found = "1 warning has been found!" if count == 1 else f"{count} warnings have been found!"
    lines = [f"Check complete, {found}"] if count else []
    source = report.text.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").split("\n")
    for finding in sorted(report.findings, key=lambda finding: finding.location.first):
        lines += ["", *_finding_lines(finding, source)]
    return "".join(f"{printable(line.rstrip())}\n" for line in lines)


def _finding_lines(finding: Finding, source: Sequence[str]) -> Iterator[str]:
    url = f" - {finding.rule.url}" if finding.rule.url else ""
    yield f"WARNING: {finding.rule.name}{url}"
    yield finding.message
    yield str(finding.location)
    yield _RULE
    yield from _source_lines(finding.location, source)
    yield _RULE


def _source_lines(location: SourceRange, source: Sequence[str]) -> Iterator[str]:
    """Yield the lines of ``location`` with those around it: two where it is a single line, else one."""
    around = 1 if location.last > location.first else 2
    first = max(1, location.first - around)
    for number, line in enumerate(source[first - 1 : location.last + around], first):
        mark = ">>>" if location.first <= number <= location.last else "   "
        yield f" {number:3} | {mark} {line}"


def targets_text(report: TargetsReport) -> str:
    """Return a table of the stages."""
    rows = [(_shown_name(target), target.description) for target in report.targets]
    return _table(("TARGET", "DESCRIPTION"), rows, padding=1)


def _shown_name(target: BuildTarget) -> str:
    return f"{target.name} (default)".lstrip() if target.is_default else target.name


def outline_text(report: OutlineReport) -> str:
    """Return the target's name and tables of what it can be given, each with an empty line after it."""
    outline = report.outline
    parts = []
    if outline.name:
        rows = [("DESCRIPTION:", outline.description)] if outline.description else []
        parts.append(_table(("TARGET:", outline.name), rows, padding=1))
    if outline.arguments:
        arguments = [(argument.name, argument.value, argument.description) for argument in outline.arguments]
        parts.append(_table(("BUILD ARG", "VALUE", "DESCRIPTION"), arguments))
    for heading, demands in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if demands:
            parts.append(_table((heading, "REQUIRED"), [(one.name, "true" * one.required) for one in demands]))
    return "".join(f"{part}\n" for part in parts)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, padding: int = 3) -> str:
    lines = [[printable(cell) for cell in line] for line in (headings, *rows)]
    widths = [max(map(len, column)) + padding for column in zip(*lines, strict=True)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def check_json(report: CheckReport) -> str:
    """Return the findings in the order in which they were found, and the error that a build would end in."""
    document: dict[str, Any] = {
        "warnings": [_finding_json(finding) for finding in report.findings] or None,
        "sources": [
            {"filename": os.path.basename(report.file), "data": _encoded(report.text), "language": "Dockerfile"}
        ],
    }
    if report.error is not None:
        location = _location_json(report.error.location) if report.error.location else {}
        document["buildError"] = {"message": _message(report.error), "location": location}
    return _dump(document)


def _message(error: OcibuildError) -> str:
    """Return what is wrong, and what to do, without the place; of several errors the first."""
    first = error.errors[0] if isinstance(error, DockerfileErrors) else error
    return f"{first.message} ({first.remedy})" if first.remedy else first.message


def _finding_json(finding: Finding) -> dict[str, Any]:
    return _without_empty(
        {
            "ruleName": finding.rule.name,
            "description": finding.rule.description,
            "url": finding.rule.url,
            "detail": finding.message,
            "location": _location_json(finding.location),
        }
    )


def outline_json(report: OutlineReport) -> str:
    """Return what the target can be given."""
    outline = report.outline
    arguments = [
        {
            "name": argument.name,
            "description": argument.description,
            "value": argument.value,
            "location": _location_json(argument.location),
        }
        for argument in outline.arguments
    ]
    document = {
        "name": outline.name,
        "description": outline.description,
        "args": [_without_empty(argument) for argument in arguments],
        "secrets": [_demand_json(demand) for demand in outline.secrets],
        "ssh": [_demand_json(demand) for demand in outline.ssh],
        "sources": [_encoded(report.text)],
    }
    return _dump(_without_empty(document))


def _demand_json(demand: Demand) -> dict[str, Any]:
    return _without_empty(
        {"name": demand.name, "required": demand.required, "location": _location_json(demand.location)}
    )


def targets_json(report: TargetsReport) -> str:
    """Return the stages."""
    targets = [
        {
            "name": target.name,
            "default": target.is_default,
            "description": target.description,
            "base": target.base,
            "platform": target.platform,
            "location": _location_json(target.location),
        }
        for target in report.targets
    ]
    return _dump({"targets": [_without_empty(target) for target in targets], "sources": [_encoded(report.text)]})


def _location_json(location: SourceRange) -> dict[str, Any]:
    """Return each line as a range of its own, as BuildKit has the lines of an instruction."""
    lines = range(location.first, location.last + 1)
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}} for line in lines]}


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value}


def _encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
