"""Parser directives: the ``# name=value`` comments that may open a Dockerfile."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError, SourceRange
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KNOWN = ("syntax", "escape", "check")
_BLANK = "\t\n\f\r "
_DIRECTIVE = re.compile(r"[\t\n\f\r ]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=(.+)", re.DOTALL)
_BEFORE = "\t\n\v\f\r \x85\xa0"


@dataclass(frozen=True, slots=True)
class Directives:
    """What the directives of a Dockerfile say.

    ``escape`` is the escape and line continuation character. ``syntax`` names a frontend image and has no effect;
    ``check`` configures the linter, and stands at ``check_location``; both are kept as written, None where they are
    not given. ``count`` is how many lines at the top are directives.
    """

    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None
    check_location: SourceRange | None = field(default=None, compare=False)
    count: int = field(default=0, compare=False)


def parse_directives(lines: Sequence[str], *, file: str) -> Directives:
    """Read the directives at the top of ``lines``.

    They end at the first line that is not one: a blank line, an instruction, a plain comment, or an unknown name.
    ``escape`` may be indented; the others stand at the beginning of their lines, and may follow a first line ``#!…``.
    ``syntax`` may also be written ``// syntax=…`` or stand in a file that is a JSON object.
    See the Dockerfile reference, "Parser directives". Raises DockerfileError for one given twice, or an escape
    character other than a backslash or a backtick.
    """
    found: dict[str, str] = {}
    for number, name, value in _directives(lines, "#", indented=True):
        where = SourceRange(file, number, number, (lines[number - 1].rstrip("\r"),), tuple(lines))
        if name in found:
            raise DockerfileError(f"only one {name} parser directive can be used", location=where)
        if name == "escape" and value not in {"\\", "`"}:
            raise DockerfileError(f"invalid escape character {value!r}", remedy="use \\ or `", location=where)
        found[name] = value
    others = {name: (number, value) for number, name, value in reversed([*_after_shebang(lines, "#")])}
    line, check = others.get("check", (0, None))
    return Directives(
        found.get("escape", "\\"),
        _syntax(lines, others),
        check,
        SourceRange(file, line, line, (lines[line - 1].rstrip("\r"),), tuple(lines)) if line else None,
        len(found),
    )


def _syntax(lines: Sequence[str], others: dict[str, tuple[int, str]]) -> str | None:
    if "syntax" in others:
        return others["syntax"][1]
    for _, name, value in _after_shebang(lines, "//"):
        if name == "syntax":
            return value
    return _json_syntax(lines)


def _json_syntax(lines: Sequence[str]) -> str | None:
    if not lines or not lines[0].lstrip(_BLANK).startswith("{"):
        return None
    import json

    try:
        document = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    syntax = document.get("syntax") if isinstance(document, dict) else None
    return syntax if isinstance(syntax, str) else None


def _after_shebang(lines: Sequence[str], comment: str) -> Iterator[tuple[int, str, str]]:
    first = 1 if lines and lines[0].startswith("#!") else 0
    return _directives(lines, comment, first=first)


def _directives(
    lines: Sequence[str], comment: str, *, first: int = 0, indented: bool = False
) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the name in lower case and the value of each directive."""
    for number in range(first, len(lines)):
        line = lines[number].lstrip(_BEFORE) if indented else lines[number]
        found = _DIRECTIVE.fullmatch(line.rstrip("\r"), len(comment)) if line.startswith(comment) else None
        if found is None or found[1].lower() not in _KNOWN:
            return
        yield number + 1, found[1].lower(), found[2].strip(_BLANK) or found[2][-1]
