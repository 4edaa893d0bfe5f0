"""Inputs to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_WORDS = (b"${a:-${b:+$c}}", b"${a##*x}'$b'\"${c//?/d}\"", b"\\$a${b%%\\*}${c:?d}")
_INSTRUCTIONS = (
    b"FROM a\nCOPY --exclude=a\\ b --link <<A <<-'B' c /x/\n1\nA\n\t2\n\tB\n",
    b'FROM a\nONBUILD RUN --mount=type=secret,id=x <<A\n1\nA\nHEALTHCHECK --interval=1s CMD ["a"]\n',
    b'# escape=`\nFROM --platform=$P a AS b\nENV a=`\n\n b c\nLABEL a=\'b\' "c d"=e\nVOLUME ["a b"]\n',
)


def write_seeds(folder: Path, dockerfiles: Iterable[Path]) -> None:
    """Write ``dockerfiles``, and texts with what these may not hold, as atheris_parser takes them."""
    texts = [*(path.read_bytes() for path in dockerfiles), *_INSTRUCTIONS]
    for number, text in enumerate(texts):
        (folder / f"file-{number}").write_bytes(b"F" + text)
    for number, word in enumerate(_WORDS):
        (folder / f"word-{number}").write_bytes(b"W" + word)
