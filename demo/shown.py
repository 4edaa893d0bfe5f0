"""Commands run as a user would type them: each is shown, then its output as it comes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOLD, _PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


class Unexpected(Exception):
    """A command that did not give what it should."""


def say(text: str) -> None:
    """Print a line that is ours, not a command's."""
    print(f"{_BOLD}{text}{_PLAIN}", flush=True)


def _neutral() -> dict[str, str]:
    """Return the environment without settings of ocibuild that the user may have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OCIBUILD_")}


def run(*words: str, environ: Mapping[str, str], expect: tuple[str, ...] = ()) -> str:
    """Run a command, show it and its output, and return that; both streams are in it, in their order.

    Raises Unexpected where it fails or a text of ``expect`` is not in the output.
    """
    say(f"$ {shlex.join(words)}")
    lines = []
    program = [sys.executable, "-m", "ocibuild"] if words[0] == "ocibuild" else [words[0]]
    with subprocess.Popen(
        [*program, *words[1:]],
        env={**_neutral(), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    print(flush=True)
    output = "".join(lines)
    if process.returncode:
        raise Unexpected(f"`{shlex.join(words)}` ended with status {process.returncode}")
    for text in expect:
        if text not in output:
            raise Unexpected(f"`{shlex.join(words)}` did not print {text!r}")
    return output
