"""Archives as users have them, from a pipe or compressed, made into a plain file that can be read anywhere in it."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.archive.destination import translating
from ocibuild.errors import InvalidLayer, OcibuildError, UsageError, naming
from ocibuild.layer.plain import is_compressed, plain_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.layer.reader import Readable

_PIECE = 1 << 20
STDIN = "-"


@contextmanager
def opened_file(path: str, folder: str) -> Iterator[BinaryIO]:
    """Open a file, or for ``-`` what standard input gives, kept in ``folder`` meanwhile where that is no file.

    Raises OcibuildError where it cannot be read, UsageError where standard input is a terminal, NoSpace.
    """
    with ExitStack() as cleanup:
        try:
            fd = os.dup(0) if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            file = cleanup.enter_context(os.fdopen(fd, "rb"))
        except OSError as error:
            raise OcibuildError(f"{path}: {error.strerror}", remedy="check the path") from error
        if path == STDIN and sys.stdin.isatty():
            raise UsageError("an archive cannot be read from a terminal", remedy="redirect stdin, or name a file")
        yield file if file.seekable() else cleanup.enter_context(_kept(file, path, folder, None))


@contextmanager
def plain_file(path: str, folder: str, *, limit: int) -> Iterator[str]:
    """Give the path of a plain file with the content of ``path``, or of standard input, decompressed into ``folder``.

    Raises as ``opened_file`` does, and InvalidLayer where it is damaged or has more than ``limit`` plain bytes.
    """
    with opened_file(path, folder) as file, ExitStack() as cleanup:
        if is_compressed(file):
            plain = cleanup.enter_context(plain_bytes(file))
            kept = cleanup.enter_context(_kept(plain, path, folder, limit))
            yield f"/proc/self/fd/{kept.fileno()}"
        else:
            yield f"/proc/self/fd/{file.fileno()}"


@contextmanager
def _kept(source: Readable, path: str, folder: str, limit: int | None) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(dir=folder) as kept:
        with naming("standard input" if path == STDIN else path), translating(folder):
            while piece := source.read(_PIECE):
                kept.write(piece)
                if limit is not None and kept.tell() > limit:
                    raise InvalidLayer(f"it has more than {limit} plain bytes", remedy="raise image-size of [limits]")
            kept.flush()
        kept.seek(0)
        yield kept
