from __future__ import annotations

import pytest

from ocibuild.errors import SourceRange
from ocibuild.fs import ModeChange
from ocibuild.graph import Context, Copy, GitReference, GitTree, HttpFile, Inline, InlineFile, Run, Vertex
from ocibuild.oci import Digest
from tests.unit.dockerfile.conversion.helpers import build, created_by, labels, refused

CHECKSUM = "sha256:" + "a" * 64


def copy_of(line: str) -> Copy:
    vertex = build(f"FROM a AS one\nRUN x\nFROM a\nENV V=v W='a b'\nWORKDIR /w\n{line}\n").vertex
    assert isinstance(vertex, Copy)
    return vertex


def kind(tree: Vertex) -> str:
    """Name a tree briefly."""
    match tree:
        case Context():
            return "context"
        case Run():
            return "stage"
        case HttpFile(name=name):
            return f"file {name}"
        case GitTree():
            return "git"
        case Inline(files=(InlineFile(name, content),)):
            return f"inline {name}={content.decode()}"
        case _:
            return type(tree).__name__


SOURCES = [
    ("COPY a b /x/", [("context", ("a", "b"), False)]),
    ("ADD a b.tar /x/", [("context", ("a", "b.tar"), True)]),
    ("ADD --unpack=false a /x/", [("context", ("a",), False)]),
    ("ADD --unpack a /x/", [("context", ("a",), True)]),
    ("COPY --from=one a /x/", [("stage", ("a",), False)]),
    ("ADD http://h/a /x", [("file a", ("a",), False)]),
    ("ADD --unpack=true http://h/a.tar /x", [("file a.tar", ("a.tar",), True)]),
    ("ADD --unpack=false http://h/a.tar /x", [("file a.tar", ("a.tar",), False)]),
    ("ADD https://h/d/ /x/", [("file d", ("d",), False)]),
    ("ADD https://h /x/", [("file __unnamed__", ("__unnamed__",), False)]),
    ("ADD https://h/.. /x/", [("file __unnamed__", ("__unnamed__",), False)]),
    ("ADD https://h/a%20b?q=/c#d /x/", [("file a b", ("a b",), False)]),
    ("ADD http://h/[x]* /x/", [("file [x]*", ("[x]*",), False)]),
    ("ADD http://$V/$V /x/", [("file v", ("v",), False)]),
    ("ADD a https://h/r.git b /x/", [("context", ("a",), True), ("git", (".",), False), ("context", ("b",), True)]),
    ("ADD git@h:x/y /x", [("git", (".",), False)]),
    ("ADD git://h/x /x", [("git", (".",), False)]),
    ("ADD https://h/x.git#main:dir /x", [("git", (".",), False)]),
    ("COPY <<E a /x/\n1$V\nE", [("context", ("a",), False), ("inline E=1v\n", ("E",), False)]),
    ("ADD <<-'E' /x\n\t1$V\nE", [("inline E=1$V\n", ("E",), False)]),
    ("COPY --from=one <</E* a /x/\nE\n/E*", [("stage", ("a",), False), ("inline E*=E\n", ("E*",), False)]),
    ("COPY --parents a/b ./c /d/./e/../f ./g/./h* /x/", [("context", ("a/b", "c", "d/./f", "g/./h*"), False)]),
    ("COPY a/./b /x/", [("context", ("a/b",), False)]),
]


@pytest.mark.parametrize(("line", "expected"), SOURCES, ids=[row[0] for row in SOURCES])
def test_files_come_from(line: str, expected: list[tuple[str, tuple[str, ...], bool]]) -> None:
    assert [(kind(source.tree), source.paths, source.unpack) for source in copy_of(line).sources] == expected


DOCUMENTS = [
    ("$V ${V} ${none:-d}", "v v d"),
    (r"\$V \n \\ \"", r'$V n \ "'),
    ("\"$W\" '$W'", "\"a b\" 'a b'"),
    ('${none:-"x"} it\'s', '"x" it\'s'),
    ("$ $1 $$", "$  "),
]


@pytest.mark.parametrize(("text", "expected"), DOCUMENTS, ids=[row[0] for row in DOCUMENTS])
def test_variables_in_a_document(text: str, expected: str) -> None:
    tree = copy_of(f"COPY <<E /x\n{text}\nE").sources[0].tree
    assert isinstance(tree, Inline)
    assert tree.files[0].content.decode() == f"{expected}\n"


def test_a_document_is_kept_byte_for_byte() -> None:
    tree = (
        copy_of('COPY <<"E" /x\né \udcff\nE'.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        .sources[0]
        .tree
    )
    assert isinstance(tree, Inline)
    assert tree.files == (InlineFile("E", "é \ufffd\n".encode()),)


@pytest.mark.parametrize("line", ["COPY <<A /x\nA", "ADD <<A /x\nA"], ids=["copy", "add"])
def test_a_document_is_a_step_that_says_what_it_is(line: str) -> None:
    origin = copy_of(line).sources[0].tree.origin
    assert origin.label == "[internal] preparing inline document"
    assert origin.location is not None
    assert origin.location.first == 6


def test_flags_are_expanded() -> None:
    copy = copy_of("ADD --chown=$V:1 --chmod=6${none}44 --exclude=$V/* --exclude=b --link a $V/")
    assert (copy.owner, copy.mode, copy.exclude) == ("v:1", ModeChange.parse("644"), ("$V/*", "b"))
    assert (copy.destination, copy.parents) == ("/w/v/", False)
    assert not copy.link  # a mode needs the files that are there, as in the reference implementation
    assert copy_of("COPY --link --parents a b").link
    assert copy_of("COPY --parents a b").parents


def test_what_is_recorded() -> None:
    text = (
        "FROM a AS one\nFROM a\nENV V=v\nCOPY --from=one --link --parents --chown=$V --chmod=644 --exclude=x a /b\n"
        "COPY <<one $V <<two /d/\n1\none\n2\ntwo\nADD --checksum=" + CHECKSUM + " http://h/$V /x\n"
    )
    target = build(text)
    assert created_by(target)[1:] == [
        "COPY --parents --chown=v --chmod=644 a /b # buildkit",
        "COPY v <<one <<two /d/ # buildkit",
        "ADD http://h/v /x # buildkit",
    ]
    assert labels(target)[2] == "[stage-1 3/4] COPY <<one v <<two /d/"
    assert isinstance(target.vertex, Copy)
    assert target.vertex.sources[0].tree.origin.label == target.vertex.origin.label


def test_a_checksum_is_for_what_is_fetched() -> None:
    file = copy_of(f"ADD --checksum={CHECKSUM} http://h/a /x").sources[0].tree
    assert isinstance(file, HttpFile)
    assert (file.url, file.checksum) == ("http://h/a", Digest.parse(CHECKSUM))
    tree = copy_of("ADD --checksum=abcdef --keep-git-dir https://h/r.git#main /x").sources[0].tree
    assert isinstance(tree, GitTree)
    assert tree.reference == GitReference("https://h/r.git", "main")
    assert (tree.checksum, tree.keep_git_dir) == ("abcdef", True)
    plain = copy_of("ADD --keep-git-dir=false https://h/r.git?checksum=abc /x").sources[0].tree
    assert isinstance(plain, GitTree)
    assert (plain.checksum, plain.keep_git_dir) == ("abc", False)


REFUSED = [
    (f"ADD --checksum={CHECKSUM} a /x", "--checksum is for URLs and Git repositories only"),
    (f"ADD --checksum={CHECKSUM} http://h/a http://h/b /x/", "--checksum cannot be given for several sources"),
    (f"ADD --checksum={CHECKSUM} <<E /x\nE", "--checksum cannot be given for several sources"),
    ("ADD --checksum=sha256:1 http://h/a /x", ""),
    ("ADD --checksum=abc https://h/r.git?checksum=abd /x", "--checksum=abc and the checksum abd of the URL"),
    ("ADD --keep-git-dir https://h/r.git?keep-git-dir=false /x", "--keep-git-dir and the keep-git-dir of the URL"),
    ("ADD https://h/r.git?what=x /x", "'https://h/r.git?what=x': unknown query parameter 'what'"),
    ("COPY https://h/r.git /x", "the source of COPY cannot be a Git repository"),
    ("COPY http://h/a /x", "the source of COPY cannot be a URL"),
    ("COPY <<a/b /x\na/b", "the heredoc <<a/b cannot be a file of the name 'a/b'"),
    ("COPY <<.. /x\n..", "the heredoc <<.. cannot be a file of the name '..'"),
    ("COPY <<E /x\n${none:?no none}\nE", "none: no none"),
    ("ADD --checksum=${none:?no-none} http://h/a /x", "none: no-none"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_copied_is_refused(line: str, message: str) -> None:
    error = refused(f"FROM a\n{line}\n")
    assert error.message.startswith(message)
    lines = line.split("\n")
    assert error.location == SourceRange("Dockerfile", 2, 1 + len(lines), tuple(lines))
