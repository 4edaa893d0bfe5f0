"""Paths in an image, cleaned as text: they are resolved in a tree only when the step is done."""

from __future__ import annotations

import re


def clean(path: str) -> str:
    """Return ``path`` as an absolute path without ``.``, ``..`` and doubled slashes; ``..`` stops at the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def join(directory: str, path: str) -> str:
    """Return ``path`` as it is seen from ``directory``, absolute and cleaned; an empty one is the directory itself."""
    return clean(path if path.startswith("/") else f"{directory}/{path}")


def working_dir(current: str, path: str) -> str:
    """Return the working directory that WORKDIR with ``path`` sets: an absolute path is kept as it is written."""
    return path if path.startswith("/") else join(current, path)


def destination(directory: str, path: str) -> str:
    """Return where COPY and ADD put things: absolute, with a slash at its end where it must be a directory."""
    target = join(directory, path)
    is_directory = path in {"", "."} or path.endswith(("/", "/."))
    return f"{target}/" if is_directory and target != "/" else target


def source(path: str) -> str:
    """Return a source of COPY or ADD relative to the root of its tree, which it cannot leave; ``.`` is all of it."""
    return clean(path)[1:] or "."


def source_with_parents(path: str) -> str:
    """Return a source of COPY --parents: as ``source()``, with the pivot ``/./`` after which directories are kept."""
    parent, pivot, pattern = path.partition("/./")
    if not pivot or source(parent) == ".":
        return source(pattern if pivot else path)
    return f"{source(parent)}/./{source(pattern)}"


def literal(path: str) -> str:
    """Return the pattern that matches ``path`` alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)
