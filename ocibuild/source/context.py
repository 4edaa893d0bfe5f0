"""Build contexts: the files that COPY and ADD see. A local folder is the one kind that there is."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.source.files import select
from ocibuild.source.ignore import Ignore, load_ignore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from ocibuild.source.files import Selected

# What docker takes for a Git URL or a URL of a tar: a scheme, git@host:path, or github.com/.
_GIT = re.compile(r"git://|ssh://|git@|[\w.-]+@[\w.-]+:|github\.com/|https?://[^#?]*\.git(?:[#?]|$)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


class LocalContext:
    """An open folder, and what its .dockerignore leaves of it. A context manager.

    ``root`` is the folder, and ``excluded`` says what is left out of it, None where nothing is. Both are for one
    thread: another one takes a context of its own from ``again()``.
    """

    def __init__(self, root: Root, excluded: Ignore | None) -> None:
        """Take over ``root``."""
        self.root = root
        self.excluded = excluded

    @classmethod
    def open(cls, path: str, *, dockerfile: str | None = None) -> Self:
        """Open the folder ``path``; ``dockerfile`` is the file whose own ``.dockerignore``, beside it, is preferred.

        Raises SourceError where there is no such folder, or for a kind of context that is not supported, and
        DockerfileError for a .dockerignore that cannot be understood. Whoever opens it closes it.
        """
        root = _open_folder(path)
        try:
            return cls(root, load_ignore(root, dockerfile=dockerfile))
        except BaseException:
            root.close()
            raise

    def again(self) -> Self:
        """Open the same folder, wherever it is by now, with the same rules, for another thread to use and close."""
        excluded = self.excluded
        return type(self)(
            Root.open(".", dir_fd=self.root.fd), excluded and Ignore(excluded.patterns, file=excluded.file)
        )

    def select(self, paths: Sequence[str]) -> tuple[Selected, ...]:
        """Return what ``paths`` stand for, as ``files.select``; the folder is looked at anew."""
        self.root.forget()
        return select(self.root, paths, excluded=self.excluded, what="the build context")

    def close(self) -> None:
        """Close the folder; safe to repeat."""
        self.root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_folder(path: str) -> Root:
    if path == "-":
        raise SourceError(
            "a build context on standard input is not supported yet", remedy="unpack it and give its folder"
        )
    try:
        return Root.open(path)
    except FileNotFoundError as error:
        raise _no_folder(path) from error
    except NotADirectoryError as error:
        raise SourceError(
            f"the build context {path!r} is not a folder", remedy="give the folder, and the Dockerfile with --file"
        ) from error
    except PermissionError as error:
        raise SourceError(f"the build context {path!r} cannot be read", remedy="make the folder readable") from error


def _no_folder(path: str) -> SourceError:
    if _GIT.match(path):
        return SourceError(
            f"a Git repository as the build context is not supported yet: {_redacted(path)!r}",
            remedy="clone it and give its folder",
        )
    if _URL.match(path):
        return SourceError(
            f"a URL as the build context is not supported yet: {_redacted(path)!r}",
            remedy="download it, unpack it and give its folder",
        )
    return SourceError(f"the build context {path!r} does not exist", remedy=f"it was looked for in {os.getcwd()!r}")


def _redacted(url: str) -> str:
    """Return ``url`` without the password that it may hold."""
    return re.sub(r"(://)[^/@]*@", r"\1", url)
