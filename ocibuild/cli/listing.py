"""Rows as ``--format`` asks for them: a table, a line of JSON each, or what a template gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ocibuild.cli.text import printable, table
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TABLE = "table"
_ESCAPES = (("\\t", "\t"), ("\\n", "\n"))


class Columns(NamedTuple):
    """What a table shows: the members of its rows in their order, and the heading of every member that there is."""

    shown: Sequence[str]
    headings: Mapping[str, str]


def plain_columns(*names: str) -> Columns:
    """Return columns whose headings are the names of their members."""
    return Columns(names, {name: name for name in names})


def listed(rows: Sequence[Mapping[str, Any]], form: str, columns: Columns) -> str:
    """Return the lines that ``form`` asks for: ``table``, ``json``, a template, or ``table`` and a template.

    As in docker, a backslash and ``t`` or ``n`` stand for a tab, which separates the columns of a table, and for the
    end of a line. Raises UsageError.
    """
    form = form.strip() or _TABLE
    if form == "json":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    if form == _TABLE:
        lines = [[columns.headings[name] for name in columns.shown]]
        lines += [[printable(str(row[name])) for name in columns.shown] for row in rows]
        return f"{table(lines)}\n"
    return _by_template(rows, form, columns)


def _by_template(rows: Sequence[Mapping[str, Any]], form: str, columns: Columns) -> str:
    from ocibuild.cli.gotemplate import Template

    is_table = form.startswith((f"{_TABLE} ", f"{_TABLE}\\t"))
    text = form.removeprefix(_TABLE).strip(" ") if is_table else form
    for written, meant in _ESCAPES:
        text = text.replace(written, meant)
    template = Template(text)
    lines = [template.render(row) for row in rows]
    if is_table:
        cells = [line.split("\t") for line in (template.heading(columns.headings), *lines)]
        return f"{table(cells)}\n"
    return "".join(f"{line}\n" for line in lines)
