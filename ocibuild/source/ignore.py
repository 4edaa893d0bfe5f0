"""Which files of a build context do not count: ``.dockerignore``, read and applied as BuildKit does."""

from __future__ import annotations

import os
import posixpath
import stat
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError, SourceError, SourceRange, remedy_of_limit
from ocibuild.fs import IgnorePatterns, PatternError, literal_start, may_match_below

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.fs import Root

NAME = ".dockerignore"
_LARGEST = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Ignore:
    """The rules of one file; the last one that matches a name, or a directory above it, decides.

    Not to be shared between threads.
    """

    def __init__(self, patterns: Sequence[str], *, file: str) -> None:
        """Take patterns that ``parse_ignore`` would give; raises PatternError where one is malformed."""
        self.file = file
        self.patterns = tuple(patterns)
        self._matcher = IgnorePatterns(patterns)
        self._kept = [literal_start(pattern[1:]) for pattern in patterns if pattern.startswith("!")]

    def excludes(self, name: str) -> bool:
        """Return whether ``name``, relative to the context, is left out."""
        return self._matcher.matches(name)

    def may_keep_below(self, name: str) -> bool:
        """Return whether a rule with ``!`` may match something below the directory ``name``."""
        return may_match_below(name, self._kept)


def load_ignore(root: Root, *, dockerfile: str | None = None, inside: str | None = None) -> Ignore | None:
    """Return the rules for the context ``root``, or None where there are none.

    ``DOCKERFILE.dockerignore`` beside the Dockerfile, which may be outside of the context, or is ``inside`` of it and
    a stranger's, goes before the context's own ``.dockerignore``. Raises DockerfileError, SourceError.
    """
    if dockerfile is not None:
        own = dockerfile + NAME
        data = _read(lambda: os.open(own, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), own)
        if data is not None:
            return parse_ignore(data, file=own)
    if inside is not None:
        strange = inside + NAME
        data = _read(lambda: root.open_file(root.resolve(strange)), strange)
        if data is not None:
            return parse_ignore(data, file=strange)
    data = _read(lambda: root.open_file(root.resolve(NAME)), NAME)
    return None if data is None else parse_ignore(data, file=NAME)


def _read(open_file: Callable[[], int], file: str) -> bytes | None:
    """Return what ``file`` holds, or None where there is no such file."""
    try:
        fd = open_file()
    except FileNotFoundError:
        return None
    except OSError as error:
        remedy = remedy_of_limit(error) or "make it readable"
        raise SourceError(f"{file} cannot be read: {error.strerror}", remedy=remedy) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SourceError(f"{file} is not a file", remedy="remove or rename it")
        return _limited(fd, file)
    finally:
        os.close(fd)


def _limited(fd: int, file: str) -> bytes:
    with open(fd, "rb", closefd=False) as opened:
        data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise SourceError(f"{file} is larger than {_LARGEST} bytes", remedy="use wildcards")
    return data


def parse_ignore(data: bytes, *, file: str) -> Ignore | None:
    """Return the rules that ``data``, the content of ``file``, gives; None where it gives none.

    Each line is a pattern in Go's syntax, with ``**`` for any number of directories and a leading ``!`` for an
    exception. White space around it, empty lines, lines that begin with ``#``, and a leading slash do not count.
    """
    lines = data.removeprefix(_BOM).decode("utf-8", "surrogateescape").split("\n")
    patterns = []
    for number, line in enumerate(lines, start=1):
        pattern = "" if line.startswith("#") else _cleaned(line.strip())
        if pattern:
            _check(pattern, SourceRange(file, number, number, (line.rstrip("\r"),)))
            patterns.append(pattern)
    return Ignore(patterns, file=file) if patterns else None


def _cleaned(line: str) -> str:
    is_exception = line.startswith("!")
    pattern = line[1:].strip() if is_exception else line
    if pattern:
        pattern = posixpath.normpath(pattern)
    if len(pattern) > 1:
        pattern = pattern.lstrip("/")
    return f"!{pattern}" if is_exception else pattern


def _check(pattern: str, location: SourceRange) -> None:
    try:
        IgnorePatterns([pattern])
    except PatternError as error:
        raise DockerfileError(str(error), location=location, remedy="correct or remove the line") from error
