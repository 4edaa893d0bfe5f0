"""The properties again, with inputs that follow the branches of the code: ``python -m tests.fuzz.atheris_parser``.

The first word is a folder with the inputs to begin with (see seeds.py), which gets those that reach something new.
Further words are options of libFuzzer, such as ``-max_total_time=SECONDS``. The first byte of an input says which
property it is for.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["ocibuild.dockerfile"]):
    from tests.fuzz.properties import expanding_is_safe, parsing_is_safe

_VARIABLES = {"a": "xaxa", "b": "", "c": "a b*\\"}


def one_input(data: bytes) -> None:
    """Check one input."""
    kind, rest = data[:1], data[1:]
    if kind == b"W":
        expanding_is_safe(rest.decode("utf-8", "replace"), _VARIABLES, "\\")
    else:
        parsing_is_safe(rest)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
