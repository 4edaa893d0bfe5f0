from __future__ import annotations

import pytest

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.heredocs import find_openers, parse_opener
from ocibuild.errors import DockerfileError, DockerfileErrors, SourceRange

WORDS = [
    ("<<EOF", ("EOF", True, False)),
    ("<<-EOF", ("EOF", True, True)),
    ("3<<EOF", ("EOF", True, False)),
    ("12<<-EOF", ("EOF", True, True)),
    ("<< EOF", ("EOF", True, False)),
    ("<<-\tEOF", ("EOF", True, True)),
    ('<<"EOF"', ("EOF", False, False)),
    ("<<'EOF'", ("EOF", False, False)),
    ('<<E"O"F', ("EOF", False, False)),
    ("<<-'EOF'", ("EOF", False, True)),
    ('<<"a b"', ("a b", False, False)),
    ("<<a\\ b", ("a b", True, False)),
    ("<<\\EOF", ("EOF", True, False)),
    ("<<E\\'F", ("E'F", True, False)),
    ("<<E`F", ("E`F", True, False)),
    ("<<$EOF", ("$EOF", True, False)),
    ("<<${E}", ("${E}", True, False)),
    ('<<"$E"', ("$E", False, False)),
    ("<<a/../b.c-d", ("a/../b.c-d", True, False)),
    ("<<\u00e9", ("\u00e9", True, False)),
    ("<<a=b", ("a=b", True, False)),
    ("<<EOF>x", ("EOF>x", True, False)),
    ("<<EOF;", ("EOF;", True, False)),
    ("<<--EOF", ("-EOF", True, True)),
    ("<<<EOF", None),
    ("<<", None),
    ("<<-", None),
    ("<<''", None),
    ("<<a<b", None),
    ("<<a b", None),
    ("<EOF", None),
    ("a<<EOF", None),
    ("-<<EOF", None),
    ("$((1<<2))", None),
    ("\u0663<<EOF", None),
    ("EOF", None),
    ("", None),
]


@pytest.mark.parametrize(("word", "expected"), WORDS, ids=[repr(row[0]) for row in WORDS])
def test_a_heredoc_is_known_by_its_word(word: str, expected: tuple[str, bool, bool] | None) -> None:
    found = parse_opener(word)
    assert (found and (found.name, found.expand, found.strip_tabs)) == expected
    assert found is None or found.word == word


@pytest.mark.parametrize("word", ["<<'EOF", '<<"EOF', "<<${E"])
def test_a_heredoc_with_an_open_quote_is_refused(word: str) -> None:
    with pytest.raises(DockerfileError):
        parse_opener(word)


LINES = [
    ("RUN cat <<A", ["A"]),
    ("RUN cat <<A >x; cat <<-B", ["A", "B"]),
    ("RUN <<A <<A", ["A", "A"]),
    ("RUN cat << A b", ["A"]),
    ("RUN cat <<\tA b", ["A"]),
    ("RUN cat <<\vA b", []),
    ("RUN cat<<A", []),
    ("RUN cat <<A<<B", []),
    ("RUN cat <<<A", []),
    ("RUN cat <<A|sh", ["A|sh"]),
    ("RUN cat '<<A'", []),
    ('RUN cat "<<A"', []),
    ('RUN "x <<A" <<B', ["B"]),
    ("RUN cat \\<<A", []),
    ("RUN cat \\ <<A", []),
    ("RUN echo $((1 << 2)) <<A", ["2))", "A"]),
    ("RUN echo it's <<A", []),
    ("RUN echo ${x <<A", []),
    ("RUN echo ${x:-a} <<A", ["A"]),
    ("COPY --chown=1 <<A /x", ["A"]),
    ("COPY --chown=<<A /x", []),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[repr(row[0]) for row in LINES])
def test_the_words_of_a_line_open_heredocs(line: str, expected: list[str]) -> None:
    assert [opener.name for opener in find_openers(line)] == expected


def only(text: str, *, head: str = "FROM a\n") -> ins.Run | ins.Copy | ins.Add:
    (instruction,) = parse((head + text).encode(), file="D").stages[0].instructions
    assert isinstance(instruction, (ins.Run, ins.Copy, ins.Add))
    return instruction


def contents(text: str, *, head: str = "FROM a\n") -> list[tuple[str, str]]:
    return [(document.name, document.content) for document in only(text, head=head).heredocs]


DOCUMENTS = [
    ("RUN <<A\nx\nA\n", [("A", "x\n")]),
    ("RUN <<A\nA\n", [("A", "")]),
    ("RUN <<A\nx\nA", [("A", "x\n")]),
    ("run <<A\nx\nA\n", [("A", "x\n")]),
    ("RUN <<A cat <<B\nx\nA\ny\nB\n", [("A", "x\n"), ("B", "y\n")]),
    ("RUN <<A\n# x\n\n  y \\\nz\nA\n", [("A", "# x\n\n  y \\\nz\n")]),
    ("RUN <<A\nA \n A\nAA\nA\n", [("A", "A \n A\nAA\n")]),
    ("RUN <<-A\n\tx\n\t\ty\t\n \tz\n\t\tA\n", [("A", "x\ny\t\n \tz\n")]),
    ("RUN <<-A\nx\n A\nA\n", [("A", "x\n A\n")]),
    ("RUN <<A\n\tx\n\tA\nA\n", [("A", "\tx\n\tA\n")]),
    ("RUN <<A\r\nx\r\n\r\nA\r\n", [("A", "x\r\n\r\n")]),
    ("RUN cat \\\n <<A\nx\nA\n", [("A", "x\n")]),
    ("RUN cat \\\n\n# c\n <<A\nx\nA\n", [("A", "x\n")]),
    ("RUN <<'A'\n$x\nA\n", [("A", "$x\n")]),
    ("RUN <<FROM\nFROM b\nFROM\n", [("FROM", "FROM b\n")]),
    ("RUN <<A\n<<B\nA\n", [("A", "<<B\n")]),
    ("RUN --mount=type=tmpfs,target=/x <<A\nx\nA\n", [("A", "x\n")]),
    ("RUN cat << A\nx\nA\n", [("A", "x\n")]),
    ('RUN ["cat", "<<A"]\n', []),
    ("COPY <<A /x\nx\nA\n", [("A", "x\n")]),
    ("COPY <<A <<-B /x/\nx\nA\n\ty\n\tB\n", [("A", "x\n"), ("B", "y\n")]),
    ("COPY <<A <<A /x/\n1\nA\n2\nA\n", [("A", "2\n"), ("A", "2\n")]),
    ("COPY <<-A <<A /x/\n1\nA\n\t2\nA\n", [("A", "2\n"), ("A", "\t2\n")]),
    ("COPY << A /x\nx\nA\n", []),
    ('COPY ["<<A", "/x"]\n', [("A", "")]),
    ("COPY '<<A b' /x\n", []),
    ("COPY 'a <<A b' /x\n", [("A", "")]),
    ("ADD <<A /x\nx\nA\n", [("A", "x\n")]),
    ("ADD --chmod=600 <<A /x\nx\nA\n", [("A", "x\n")]),
]


@pytest.mark.parametrize(("text", "expected"), DOCUMENTS, ids=[repr(row[0]) for row in DOCUMENTS])
def test_documents_are_read_from_the_lines_after(text: str, expected: list[tuple[str, str]]) -> None:
    assert contents(text) == expected


def test_the_escape_character_of_the_file_means_nothing_in_a_heredoc_word() -> None:
    assert contents("COPY <<E`F `\n /x\nx\nE`F\n", head="# escape=`\nFROM a\n") == [("E`F", "x\n")]
    assert contents("COPY <<E\\F /x\nx\nEF\n", head="# escape=`\nFROM a\n") == [("EF", "x\n")]


def test_a_command_keeps_its_text_beside_its_documents() -> None:
    instruction = only("RUN cat <<-A > /x\n\tx\nA\n")
    assert isinstance(instruction, ins.Run)
    assert instruction.command == ins.Command(("cat <<-A > /x",), shell_form=True)
    assert instruction.heredocs == (ins.Heredoc("A", "x\n", expand=True, opener="<<-A", raw="\tx\n"),)
    assert instruction.text == "RUN cat <<-A > /x"
    assert instruction.location == SourceRange("D", 2, 4, ("RUN cat <<-A > /x", "\tx", "A"))


def test_documents_are_no_plain_sources() -> None:
    instruction = only('COPY <<A b <<"C" d /x/\nA\nC\n')
    assert isinstance(instruction, ins.Copy)
    assert (instruction.sources, instruction.destination) == (("b", "d"), "/x/")
    assert [(found.opener, found.expand) for found in instruction.heredocs] == [("<<A", True), ('<<"C"', False)]


def test_bytes_of_a_document_are_kept_unless_it_is_expanded() -> None:
    found = parse(b"FROM a\nCOPY <<'A' <<B /x/\n\xff\nA\n\xff\nB\n", file="D").stages[0].instructions[0]
    assert isinstance(found, ins.Copy)
    assert found.heredocs[0].content.encode("utf-8", "surrogateescape") == b"\xff\n"
    assert found.heredocs[1].content == "\ufffd\n"


TRIGGERS = [
    ("ONBUILD RUN <<A\nx\nA\n", "RUN <<A\nx\nA"),
    ("ONBUILD RUN <<-'A'\n\tx\n\tA\n", "RUN <<-'A'\n\tx\nA"),
    ("ONBUILD COPY <<A <<B /x/\nx\nA\ny\nB\n", "COPY <<A <<B /x/\nx\nA\ny\nB"),
    ("onbuild add <<A /x\nA\n", "add <<A /x\nA"),
    ("ONBUILD CMD <<A\n", "CMD <<A"),
    ('ONBUILD COPY ["<<A", "/x"]\n', 'COPY ["<<A", "/x"]'),
]


@pytest.mark.parametrize(("text", "expected"), TRIGGERS, ids=[repr(row[0]) for row in TRIGGERS])
def test_a_trigger_takes_its_documents_along(text: str, expected: str) -> None:
    (instruction,) = parse(f"FROM a\n{text}".encode(), file="D").stages[0].instructions
    assert isinstance(instruction, ins.OnBuild)
    assert instruction.trigger == expected


@pytest.mark.parametrize(
    "line",
    ["CMD", "ENTRYPOINT", "SHELL", "ENV A=", "LABEL a=", "WORKDIR", "HEALTHCHECK CMD", "USER", "VOLUME", "ARG A="],
)
def test_other_instructions_take_none(line: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM a\n{line} <<A\nfoo\nA\n".encode(), file="D")
    assert "unknown instruction" in str(caught.value)


@pytest.mark.parametrize("line", ["RUN", "COPY", "ADD", "ONBUILD RUN", "onbuild copy"])
def test_a_document_that_does_not_end_is_refused_alone(line: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM a\n{line} <<A <<B /x\nA\nfoo\n B\n".encode(), file="D")
    assert not isinstance(caught.value, DockerfileErrors)
    assert str(caught.value) == "D:2: the heredoc <<B is not terminated (end it with a line that is B alone)"
    assert caught.value.location is not None
    assert caught.value.location.last == 5


def test_an_opener_with_a_name_that_is_none_is_refused_at_its_line() -> None:
    with pytest.raises(DockerfileError, match="missing '}'") as caught:
        parse(b"FROM a\nCOPY <<A${a##( <<-'B' c /x/$1x}'$b'{c//d\nA\n", file="D")
    assert str(caught.value.location) == "D:2"
