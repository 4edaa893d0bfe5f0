"""Build contexts: the files that COPY and ADD see, in a folder; what comes from elsewhere is put into one before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.source.ignore import Ignore, load_ignore
from ocibuild.source.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from ocibuild.source.files import Selected

_MAIN = "the build context"


class LocalContext:
    """An open folder, and what its .dockerignore leaves of it. A context manager.

    ``root`` is the folder, ``excluded`` says what is left out of it, None where nothing is, and ``what`` is what errors
    call it. It is for one thread: another one takes a context of its own from ``again()``.
    """

    def __init__(self, root: Root, excluded: Ignore | None, what: str = _MAIN) -> None:
        """Take over ``root``."""
        self.root = root
        self.excluded = excluded
        self.what = what

    @classmethod
    def open(cls, path: str, *, dockerfile: str | None = None, inside: str | None = None, what: str = _MAIN) -> Self:
        """Open the folder ``path``; ``dockerfile`` is the file whose own ``.dockerignore``, beside it, is preferred.

        ``inside`` is such a file too, below the folder, whose links must not lead out of it. Raises SourceError where
        there is no such folder, DockerfileError for a .dockerignore that cannot be understood. Whoever opens it closes
        it.
        """
        root = _open_folder(path, what)
        try:
            return cls(root, load_ignore(root, dockerfile=dockerfile, inside=inside), what)
        except BaseException:
            root.close()
            raise

    def again(self) -> Self:
        """Open the same folder, wherever it is by now, with the same rules, for another thread to use and close."""
        excluded = self.excluded
        return type(self)(
            Root.open(".", dir_fd=self.root.fd), excluded and Ignore(excluded.patterns, file=excluded.file), self.what
        )

    def select(self, paths: Sequence[str], *, parents: bool = False, literal: bool = False) -> tuple[Selected, ...]:
        """Return what ``paths`` stand for, as ``selection.select``; the folder is looked at anew."""
        self.root.forget()
        return select(self.root, paths, excluded=self.excluded, what=self.what, parents=parents, literal=literal)

    def close(self) -> None:
        """Close the folder; safe to repeat."""
        self.root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_folder(path: str, what: str) -> Root:
    try:
        return Root.open(path)
    except FileNotFoundError as error:
        raise SourceError(f"{what} {path!r} does not exist", remedy=f"it was looked for in {os.getcwd()!r}") from error
    except NotADirectoryError as error:
        raise SourceError(
            f"{what} {path!r} is not a folder", remedy="give the folder, and the Dockerfile with --file"
        ) from error
    except PermissionError as error:
        raise SourceError(f"{what} {path!r} cannot be read", remedy="make the folder readable") from error
