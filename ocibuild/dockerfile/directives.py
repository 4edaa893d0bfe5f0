"""Parser directives: the ``# name=value`` comments that may open a Dockerfile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocibuild.dockerfile.lines import SPACE
from ocibuild.errors import DockerfileError, SourceRange

if TYPE_CHECKING:
    from collections.abc import Sequence

_KNOWN = ("syntax", "escape", "check")
_KEY = re.compile(r"[a-zA-Z][a-zA-Z0-9]*")
_BLANK = "\t\n\f\r "


@dataclass(frozen=True, slots=True)
class Directives:
    """What the directives of a Dockerfile say.

    ``escape`` is the escape and line continuation character. ``syntax`` names a frontend image and has no effect;
    ``check`` configures the linter; both are kept as written, None where they are not given.
    """

    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None


def parse_directives(lines: Sequence[str], *, file: str) -> Directives:
    """Read the directives at the top of ``lines``.

    They end at the first line that is not one: a blank line, an instruction, a plain comment, or an unknown name.
    See the Dockerfile reference, "Parser directives". Raises DockerfileError for one given twice, or an escape
    character other than a backslash or a backtick.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        directive = _directive(line)
        if directive is None:
            break
        name, value = directive
        where = SourceRange(file, number, number, (line,))
        if name in found:
            raise DockerfileError(f"only one {name} parser directive can be used", location=where)
        if name == "escape" and value not in {"\\", "`"}:
            raise DockerfileError(f"invalid escape character {value!r}", remedy="use \\ or `", location=where)
        found[name] = value
    return Directives(**found)


def _directive(line: str) -> tuple[str, str] | None:
    comment = line.lstrip(SPACE)
    if not comment.startswith("#"):
        return None
    key, equals, value = comment[1:].lstrip(SPACE).partition("=")
    key, value = key.rstrip(_BLANK).lower(), value.strip(_BLANK)
    if not equals or not value or not _KEY.fullmatch(key) or key not in _KNOWN:
        return None
    return key, value
