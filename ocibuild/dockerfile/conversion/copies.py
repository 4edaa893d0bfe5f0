"""COPY and ADD: their words expanded, and where their files come from."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from ocibuild import graph
from ocibuild.dockerfile.conversion import paths
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.shell.words import expand_document, expand_word
from ocibuild.errors import DockerfileError
from ocibuild.fs import ModeChange
from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.errors import SourceRange

    Transfer: TypeAlias = ins.Copy | ins.Add

_HTTP = ("http://", "https://")
_UNNAMED = "__unnamed__"


def name_of(instruction: Transfer) -> str:
    """Return the instruction's name."""
    return "ADD" if isinstance(instruction, ins.Add) else "COPY"


def expanded(instruction: Transfer, variables: Mapping[str, str], *, escape: str) -> Transfer:
    """Return ``instruction`` with the variables in it expanded, in unquoted documents too.

    None are in ``--from`` and ``--exclude``.
    """

    def word(text: str) -> str:
        return expand_word(text, variables, escape=escape)

    changed = replace(
        instruction,
        sources=tuple(map(word, instruction.sources)),
        destination=word(instruction.destination),
        owner=word(instruction.owner),
        mode=word(instruction.mode),
        heredocs=tuple(
            replace(document, content=expand_document(document.content, variables)) if document.expand else document
            for document in instruction.heredocs
        ),
    )
    return replace(changed, checksum=word(changed.checksum)) if isinstance(changed, ins.Add) else changed


def mode_change(instruction: Transfer) -> ModeChange | None:
    """Return the change of modes that ``--chmod`` asks for, None where it is empty."""
    if not instruction.mode:
        return None
    try:
        return ModeChange.parse(instruction.mode)
    except ValueError as error:
        raise DockerfileError(f"{name_of(instruction)} --chmod={instruction.mode}: {error}") from error


def taken_files(instruction: Transfer, tree: graph.Vertex, origin: graph.Origin) -> tuple[graph.CopySource, ...]:
    """Return what an expanded ``instruction`` takes: paths in ``tree``, URLs, repositories, and documents at the end.

    ``origin`` is for what has to be made or fetched. Raises DockerfileError for what COPY cannot fetch, and for a
    checksum that is none, or of something that has none.
    """
    checksum = _checksum(instruction)
    unpack = instruction.unpack if isinstance(instruction, ins.Add) else False
    found: list[graph.CopySource] = []
    for source in instruction.sources:
        git = _git_reference(source)
        if git is not None:
            _require_add(instruction, source, "a Git repository")
            tree_of_git = _git_tree(git, instruction, checksum, origin)
            found.append(graph.CopySource(tree_of_git, (".",)))
        elif source.startswith(_HTTP):
            _require_add(instruction, source, "a URL")
            file = graph.HttpFile(source, file_name(source), _digest(checksum), origin)
            found.append(graph.CopySource(file, (file.name,), unpack=bool(unpack)))
        else:
            path = _pattern(instruction, source)
            is_unpacked = isinstance(instruction, ins.Add) if unpack is None else unpack
            _append(found, graph.CopySource(tree, (path,), unpack=is_unpacked))
    found.extend(_inline(document, origin) for document in instruction.heredocs)
    return tuple(found)


def recorded_sources(instruction: Transfer) -> tuple[str, ...]:
    """Return the sources of an expanded ``instruction`` as the history has them: documents at the end."""
    return (*instruction.sources, *(f"<<{document.name}" for document in instruction.heredocs))


def file_name(url: str) -> str:
    """Return the name that ADD gives to the file behind ``url``: the end of its path, where it has one."""
    from urllib.parse import unquote, urlsplit

    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return _UNNAMED
    name = posixpath.basename(path.rstrip("/"))
    return _UNNAMED if name in {"", ".", ".."} else name


def _append(found: list[graph.CopySource], source: graph.CopySource) -> None:
    """Add ``source``, to the one before it where they differ in their paths alone."""
    last = found[-1] if found else None
    if last and last.tree is source.tree and last.unpack == source.unpack:
        found[-1] = last._replace(paths=last.paths + source.paths)
    else:
        found.append(source)


def _pattern(instruction: Transfer, source: str) -> str:
    if isinstance(instruction, ins.Copy) and instruction.parents:
        return paths.source_with_parents(source)
    return paths.source(source)


def _require_add(instruction: Transfer, source: str, kind: str) -> None:
    if isinstance(instruction, ins.Copy):
        raise DockerfileError(f"the source of COPY cannot be {kind}: {source!r}", remedy="only ADD can fetch")


def _git_reference(source: str) -> graph.GitReference | None:
    try:
        return graph.GitReference.parse(source)
    except ValueError as error:
        raise DockerfileError(f"{source!r}: {error}") from error


def _checksum(instruction: Transfer) -> str:
    """Return ``--checksum``, which one source alone can have, and that a remote one."""
    checksum = instruction.checksum if isinstance(instruction, ins.Add) else ""
    if not checksum:
        return ""
    if len(instruction.sources) != 1:
        raise DockerfileError("--checksum cannot be given for several sources", remedy="write an ADD for each")
    source = instruction.sources[0]
    if not source.startswith(_HTTP) and _git_reference(source) is None:
        raise DockerfileError("--checksum is for URLs and Git repositories only", remedy="leave it out")
    return checksum


def _digest(checksum: str) -> Digest | None:
    return Digest.parse(checksum) if checksum else None


def _git_tree(
    reference: graph.GitReference, instruction: Transfer, checksum: str, origin: graph.Origin
) -> graph.GitTree:
    keep = instruction.keep_git_dir if isinstance(instruction, ins.Add) else None
    if None not in (keep, reference.keep_git_dir) and keep != reference.keep_git_dir:
        raise DockerfileError("--keep-git-dir and the keep-git-dir of the URL contradict each other")
    if checksum and reference.commit and checksum != reference.commit:
        raise DockerfileError(f"--checksum={checksum} and the checksum {reference.commit} of the URL are not the same")
    kept = keep if reference.keep_git_dir is None else reference.keep_git_dir
    return graph.GitTree(reference, bool(kept), reference.commit or checksum or None, origin)


def _inline(document: ins.Heredoc, origin: graph.Origin) -> graph.CopySource:
    file = inline_file(document, document.content)
    return graph.CopySource(inline_tree(file, origin.location), (file.name,))


def inline_tree(file: graph.InlineFile, location: SourceRange | None) -> graph.Inline:
    """Return the tree of a document's file; ``location`` is that of its instruction."""
    return graph.Inline((file,), graph.Origin("[internal] preparing inline document", location))


def inline_file(document: ins.Heredoc, content: str, mode: int = 0o644) -> graph.InlineFile:
    """Return the file that ``document`` becomes; raises DockerfileError for a name with directories in it."""
    name = paths.clean(document.name)[1:]
    if not name or "/" in name:
        raise DockerfileError(
            f"the heredoc {document.opener} cannot be a file of the name {document.name!r}",
            remedy="a heredoc's name has no directories",
        )
    return graph.InlineFile(name, content.encode("utf-8", "surrogateescape"), mode)


def copy_text(instruction: Transfer) -> str:
    """Return what an expanded COPY or ADD is recorded as."""
    flags: Sequence[str] = [
        *["--parents"] * (isinstance(instruction, ins.Copy) and instruction.parents),
        *[f"--chown={instruction.owner}"] * bool(instruction.owner),
        *[f"--chmod={instruction.mode}"] * bool(instruction.mode),
    ]
    words = [name_of(instruction), *flags, *recorded_sources(instruction), instruction.destination]
    return " ".join([*words, "# buildkit"])
