"""The cases: Dockerfiles with their contexts, many in a text file, one file for each section of the language.

::

    Anything before the first case is a comment on the file.

    === a default stands in for what is unset
    options: --build-arg GIVEN=yes
    --- Dockerfile
    FROM BASE
    LABEL got=${nothing:-default}
    COPY data /data
    --- data/file
    what is in the file
    --- prepare
    chmod 600 data/file

    === a value that nobody can understand
    fails: 2
    --- Dockerfile
    FROM BASE
    ENV

Each ``---`` is a file of the context; ``../NAME`` lies beside the context. The blank lines before the next ``---`` or
``===`` are not of the file. ``prepare`` is none: it is a shell script that runs in the context when the files are
there, for all that text cannot hold. Between the name and the first file are the settings:

``options``
    what both builders are given on the command line, beside the context; it may stand several times
``environment``
    NAME=VALUE pairs in the environment of both
``fails``
    the build must fail; the number is the line that BuildKit complains about, if it does so of any
``times``
    the files in the image whose modification times are compared, too
``call``
    ``check``, ``outline`` or ``targets``: nothing is built, what they print is compared

BASE stands for the base image and BASE:TAG for one of the others (see bases.py), and SERVER for the address of a web
server that serves ``../www``; a ``.git`` folder in there is a repository to clone.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).with_name("cases")
_SETTINGS = ("options", "environment", "fails", "times", "call")


class WrongCase(ValueError):
    """The text of a case is not as it should be."""


@dataclass(frozen=True, slots=True)
class Case:
    """``name`` is FILE/WORDS-OF-THE-NAME; ``fails`` is None where the build succeeds, else the line or ""."""

    name: str
    text: str
    files: Mapping[str, str]
    prepare: str = ""
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    fails: str | None = None
    times: tuple[str, ...] = ()
    call: str = ""

    @property
    def digest(self) -> str:
        """What is another where the text is another."""
        return hashlib.sha256(f"{self.name}\0{self.text}".encode()).hexdigest()[:32]


def all_cases() -> list[Case]:
    """Return the cases of all files, in their order."""
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in parse_cases(path.stem, path.read_text("utf-8"))]


def parse_cases(section: str, text: str) -> Iterator[Case]:
    """Yield the cases in a file's text; raises WrongCase."""
    seen = set()
    for title, body in _split(text, "==="):
        name = f"{section}/{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}"
        if name in seen:
            raise WrongCase(f"two cases are called {name}")
        seen.add(name)
        yield _parse(name, body)


def _parse(name: str, text: str) -> Case:
    settings = _settings(name, text.partition("\n---")[0] if not text.startswith("---") else "")
    files = {path: body.rstrip("\n") + "\n" if body.strip("\n") else "" for path, body in _split(text, "---")}
    prepare = files.pop("prepare", "")
    return Case(
        name=name,
        text=text.rstrip("\n"),
        files=files,
        prepare=prepare,
        options=tuple(shlex.split(" ".join(settings["options"]))),
        environment=tuple(_pair(name, word) for word in shlex.split(" ".join(settings["environment"]))),
        fails=settings["fails"][0] if settings["fails"] else None,
        times=tuple(" ".join(settings["times"]).split()),
        call=" ".join(settings["call"]),
    )


def _split(text: str, mark: str) -> Iterator[tuple[str, str]]:
    """Yield what stands behind a mark, and the lines up to the next."""
    for part in re.split(rf"^{mark} ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        yield title.strip(), body


def _settings(name: str, text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in _SETTINGS}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if line.strip() and (not colon or key not in found):
            raise WrongCase(f"{name}: {line!r} is not a setting")
        if line.strip():
            found[key].append(value.strip())
    return found


def _pair(name: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise WrongCase(f"{name}: {word!r} is not NAME=VALUE")
    return key, value
