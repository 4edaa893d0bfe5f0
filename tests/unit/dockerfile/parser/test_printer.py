from __future__ import annotations

from pathlib import Path

import pytest

from ocibuild.dockerfile import parse

_CHECKOUT = Path(__file__).parents[4]

SAME = [
    "FROM a\n",
    "from --platform=$BUILDPLATFORM a AS B\n",
    "# escape=`\n# syntax=x\n# check=skip=all\nARG A B=1\nFROM a\nENV a=`b\n",
    "FROM a\nRUN --mount=type=cache,target=/x --network=none --security=insecure make\n",
    'FROM a\nRUN ["a", "b c", "\\"", "é"]\n',
    "FROM a\nRUN cat <<A <<-'B' > /x\n\ta\nA\n\tb\nB\nRUN c\n",
    "FROM a\nCOPY --from=x --chown=1:2 --chmod=644 --link --exclude=a --exclude=b --parents a b /c/\n",
    "FROM a\nCOPY a <<A /x/\nb\nA\n",
    'FROM a\nCOPY ["a b", ""]\n',
    "FROM a\nADD --link --checksum=sha256:x --keep-git-dir --unpack=false a b\n",
    "FROM a\nENV a b  c\nENV a=1 b='x y'\nLABEL x y\nLABEL \"x y\"=z\n",
    'FROM a\nCMD a b\nCMD ["a"]\nENTRYPOINT []\nSHELL ["a", "-c"]\nCMD\n',
    "FROM a\nWORKDIR /a b\nUSER a:b\nEXPOSE 80 81/udp\nVOLUME /a /b\nSTOPSIGNAL 9\nMAINTAINER me <a@b>\n",
    'FROM a\nHEALTHCHECK NONE\nHEALTHCHECK --interval=5000000000ns --retries=3 CMD a\nHEALTHCHECK CMD ["a"]\n',
    "FROM a\nONBUILD RUN a\nONBUILD COPY <<A /x\nb\nA\nONBUILD foo\n",
    "\n# one\n# two\nARG A\n# three\nFROM a\n# four\nRUN b\n",
    "FROM a\nRUN -- --x\n",
]


@pytest.mark.parametrize("text", SAME, ids=[repr(text) for text in SAME])
def test_what_is_written_plainly_is_printed_as_it_is(text: str) -> None:
    assert str(parse(text.encode(), file="D")) == text


ODD = [
    ("a directive that is a comment", "\n# escape=`\nFROM a\n"),
    ("a comment that looks like a comment", "  # # a\nFROM a\n"),
    ("flags with quotes", "FROM a\nRUN --mount='a b'\\\\c\"d'e\" f\n"),
    ("a quote in a flag hides a heredoc", "FROM a\nRUN --mount='a\\'b' <<EOF\n"),
    ("a heredoc after a quote in a flag", "FROM a\nRUN --mount=a\\'b <<EOF\nx\nEOF\n"),
    ("a dollar in a flag hides a heredoc", "FROM a\nRUN --mount=${a <<EOF\n"),
    ("a heredoc after a dollar in a flag", "FROM a\nRUN --mount='${a' <<EOF\nx\nEOF\n"),
    ("a heredoc in a flag", "FROM a\nCOPY --exclude='x <<EOF' b c\n"),
    ("letters in a flag", "FROM a\nCOPY --exclude=\u00e9\u4e00 b c\n"),
    ("a vertical tab after the escape", "FROM a\nRUN a\\\v\nRUN b\n"),
    ("two documents of one name", "FROM a\nCOPY <<A <<-A /x/\n1\nA\n\t2\nA\n"),
    ("a word in quotes that opens nothing", 'FROM a\nCOPY "a <<EOF b" c /x\n'),
    ("a document that is no source", "FROM a\nCOPY << EOF /x\n1\nEOF\n"),
    ("an empty document in JSON form", 'FROM a\nCOPY ["<<X", "a b", "/x/"]\n'),
    ("brackets that are no JSON", 'FROM a\nCOPY [a] b\nVOLUME ["a" "b"]\nRUN [\'a\']\n'),
    ("blanks in JSON form", 'FROM a\nVOLUME ["/a b", "c"]\nCOPY ["", "x"]\n'),
    ("an escaped blank in the legacy form", "FROM a\nENV a\\  x=1\n"),
    ("a quoted blank in the legacy form", 'FROM a\nENV "a  b" c\n'),
    ("other bytes", "FROM a\n# \udcff\nENV a=\udcff\nCOPY <<A /x\n\udcff\nA\n"),
    ("carriage returns", "FROM a\r\nCOPY <<A /x\r\n1\r\nA\r\n"),
    ("blanks around", "FROM a\n  RUN   b  \nONBUILD   RUN b  \n"),
    ("a long line", "FROM a\nENV " + "\\\n".join(f"a{n}={'x' * 9_000} " for n in range(20)) + "\n"),
    ("a long line of hashes", "FROM a\nENV a=" + "b" * 15_000 + "\\\nx" + "#" * 20_000 + "\n"),
    ("durations", "FROM a\nHEALTHCHECK --interval=1h1m1.5s --start-interval=1.5ms CMD a\n"),
    ("slashes as comments do not count", "# syntax=a b \nFROM a\n"),
]


@pytest.mark.parametrize("text", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_what_is_printed_says_the_same(text: str) -> None:
    parsed = parse(text.encode("utf-8", "surrogateescape"), file="D")
    printed = str(parsed)
    again = parse(printed.encode("utf-8", "surrogateescape"), file="D")
    assert again == parsed
    assert str(again) == printed


def test_an_instruction_is_printed_alone() -> None:
    (instruction,) = parse(b"FROM a\n# why\nENV a=1 \\\n b=2", file="D").stages[0].instructions
    assert str(instruction) == "# why\nENV a=1 b=2\n"


def _dockerfiles() -> list[Path]:
    found = [*_CHECKOUT.glob("tests/cases/*/context/Dockerfile"), *_CHECKOUT.glob("testdata/**/Dockerfile*")]
    return sorted(path for path in found if path.is_file() and path.suffix != ".dockerignore")


@pytest.mark.parametrize("path", _dockerfiles(), ids=lambda path: str(path.relative_to(_CHECKOUT)))
def test_the_dockerfiles_of_this_repository_are_printed(path: Path) -> None:
    parsed = parse(path.read_bytes(), file="D")
    assert parse(str(parsed).encode(), file="D") == parsed
