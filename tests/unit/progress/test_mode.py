from __future__ import annotations

import io
import os

import pytest

from ocibuild.errors import UsageError
from ocibuild.progress.mode import Mode, settle


@pytest.mark.parametrize(("term", "mode"), [("xterm", Mode.TTY), ("dumb", Mode.PLAIN), ("", Mode.TTY)])
def test_auto_takes_the_terminal_unless_it_is_dumb(term: str, mode: Mode) -> None:
    master, slave = os.openpty()
    with open(master, "rb"), open(slave, "w") as stream:
        assert settle(Mode.AUTO, stream, {"TERM": term}) is mode


def test_auto_is_plain_for_a_file_and_for_a_closed_stream() -> None:
    closed = io.StringIO()
    closed.close()
    assert settle(Mode.AUTO, io.StringIO(), {"TERM": "xterm"}) is Mode.PLAIN
    assert settle(Mode.AUTO, closed, {"TERM": "xterm"}) is Mode.PLAIN


@pytest.mark.parametrize("mode", [Mode.PLAIN, Mode.RAWJSON, Mode.QUIET])
def test_what_is_asked_for_is_taken(mode: Mode) -> None:
    assert settle(mode, io.StringIO(), {}) is mode


def test_a_terminal_display_without_a_terminal_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs a terminal.*--progress plain"):
        settle(Mode.TTY, io.StringIO(), {"TERM": "xterm"})
