"""Parsing takes time in proportion to the length of the text, whatever the text is."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ocibuild.dockerfile import parse
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = 'RUN make $A && \\\n  make install\nCOPY --from=x a b /c/\nENV A="x y" B=1\n'


def _wrapped(text: str) -> str:
    return "\\\n".join(text[start : start + 60_000] for start in range(0, len(text), 60_000)) + "\n"


HOSTILE: list[tuple[str, int, Callable[[int], str]]] = [
    ("ordinary lines", 500, lambda n: _STEP * n),
    ("a long line", 500_000, lambda n: _wrapped("RUN " + "x" * n)),
    ("continuations", 20_000, lambda n: "RUN a\n" + "\\\n" * n),
    ("comments", 20_000, lambda n: "# a\n" * n),
    ("blank lines inside", 20_000, lambda n: "RUN \\\n" + " \n" * n),
    ("words in words", 5_000, lambda n: _wrapped("RUN <<A " + "${a:-" * n)),
    ("words beside words", 5_000, lambda n: _wrapped("RUN " + "${a:-b}" * n + " <<A") + "A\n"),
    ("quotes", 20_000, lambda n: _wrapped("ENV a=" + "'b'\"c\"" * n)),
    ("open quotes", 50_000, lambda n: _wrapped("ENV a=" + '"\\' * n)),
    ("pairs", 10_000, lambda n: _wrapped("ENV " + "a=b " * n)),
    ("words that are wrong", 10_000, lambda n: _wrapped("ENV a=b " + "c " * n)),
    ("openers", 3_000, lambda n: _wrapped("RUN " + "<<A " * n) + "A\n" * n),
    ("openers without an end", 3_000, lambda n: _wrapped("RUN " + "<<A " * n) + "b\n" * n),
    ("openers in quotes", 3_000, lambda n: _wrapped("COPY " + "<<'A' " * n + "/x/") + "A\n" * n),
    ("blanks after an opener", 20_000, lambda n: _wrapped("RUN <<" + " " * n + "a<")),
    ("heredocs", 3_000, lambda n: "RUN <<A\nb\nA\n" * n),
    ("heredocs without an end", 3_000, lambda n: "RUN <<A\nb\n" * n),
    ("tabs", 50_000, lambda n: "RUN <<-A\n" + "\t" * n + "\nA\n"),
    ("flags", 5_000, lambda n: _wrapped("RUN " + "--mount=a=b " * n + "c")),
    ("flags of quotes", 20_000, lambda n: _wrapped("RUN --mount=" + "'a'" * n + " c")),
    ("unknown flags", 20_000, lambda n: _wrapped("RUN " + "--a=b " * n + "c")),
    ("fields", 20_000, lambda n: _wrapped("RUN --mount=" + "a=b," * n + " c")),
    ("fields in quotes", 20_000, lambda n: _wrapped("RUN --mount=" + '\\"' * n + " c")),
    ("wrong instructions", 10_000, lambda n: "FOO\n" * n),
    ("lists in lists", 20_000, lambda n: _wrapped("CMD " + "[" * n)),
    ("lists", 10_000, lambda n: _wrapped("CMD [" + '"a",' * n + '"b"]')),
    ("triggers", 1_000, lambda n: "ONBUILD RUN <<A\nb\nA\n" * n),
    ("a directive that is none", 50_000, lambda n: "#" + " " * n + "a" * (60_000 - n // 4) + "\n"),
]


def _seconds(text: bytes) -> float:
    started = time.process_time()
    with suppress(DockerfileError):
        parse(text, file="D")
    return time.process_time() - started


@pytest.mark.parametrize(("size", "write"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_four_times_the_text_takes_about_four_times_as_long(size: int, write: Callable[[int], str]) -> None:
    texts = [("FROM a\n" + write(count)).encode() for count in (size, size * 4)]
    for _ in range(3):  # a busy machine may need another try; what is quadratic takes 16 times as long in each
        small, large = (min(_seconds(text) for _ in range(3)) for text in texts)
        if large < 8 * small + 0.02:
            return
    pytest.fail(f"{small:.3f} s became {large:.3f} s")


def test_ten_thousand_lines_are_parsed_in_a_moment() -> None:
    text = ("FROM a\n" + _STEP * 2_500).encode()
    assert min(_seconds(text) for _ in range(5)) < 0.3
