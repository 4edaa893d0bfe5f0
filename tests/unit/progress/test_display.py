from __future__ import annotations

import fcntl
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.graph import Finished, Noted, Output, Started, Stream, Transferred, Warned
from ocibuild.progress import Display, Mode, display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ocibuild.graph import Emit

_CSI = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Terminal:
    """A pseudo-terminal of 80 by 24, what was written to it, and the screen that a user would see."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.written = bytearray()
        self._done = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while select.select([self.master], [], [], 0.05)[0] or not self._done.is_set():
            if select.select([self.master], [], [], 0)[0]:
                self.written += os.read(self.master, 65536)

    def close(self) -> None:
        self._done.set()
        self._reader.join()
        os.close(self.slave)
        os.close(self.master)

    def screen(self) -> list[str]:
        """Return the lines that are left, scrolled ones included."""
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.written.decode()):
            if match := _CSI.fullmatch(part):
                amount, kind = match.groups()
                if kind == "A":
                    row -= int(amount or 1)
                elif (amount, kind) == ("2", "K"):
                    lines[row] = ""
                else:
                    assert kind in "mhl", part
            elif part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            else:
                assert len(part) <= 80
                lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
                column += len(part)
        return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    yield terminal
    terminal.close()


def _wait_for(terminal: Terminal, text: str) -> None:
    until = time.monotonic() + 10
    while text.encode() not in terminal.written:
        assert time.monotonic() < until, terminal.written.decode()
        time.sleep(0.01)


def _settle(terminal: Terminal) -> None:
    """Wait until the last of what was written has arrived."""
    seen = -1
    while seen < len(terminal.written):
        seen = len(terminal.written)
        time.sleep(0.1)


def _display_on(terminal: Terminal, work: Callable[[Display], None]) -> None:
    with open(terminal.slave, "w", closefd=False) as stream, display(Mode.AUTO, stream, title="Building") as shown:
        work(shown)


def _on(terminal: Terminal, work: Callable[[Emit], None]) -> list[str]:
    _display_on(terminal, work)
    _settle(terminal)
    return terminal.screen()


def _times_cut(lines: list[str]) -> list[str]:
    return [re.sub(r" +[0-9.]+s$", "", line) for line in lines if line]


def test_a_terminal_keeps_one_line_for_each_finished_step(terminal: Terminal) -> None:
    def work(emit: Emit) -> None:
        emit(Finished(1, "[1/3] FROM base", 0.0, cached=True))
        emit(Started(2, "[2/3] RUN make"))
        emit(Output(2, Stream.STDOUT, b"compiling one\ncompiling two\nhalf a line"))
        emit(Started(3, "pull"))
        emit(Transferred(3, "0a1b2c", "downloading", 5_000_000, 10_000_000))
        _wait_for(terminal, "half a line")
        _wait_for(terminal, "downloading 0a1b2c")
        seen = terminal.written.decode()
        assert " => => # compiling two" in seen
        assert "[==========>         ]   5.00MB /  10.00MB" in seen
        emit(Noted(2, "not cached: never built before"))
        emit(Finished(2, "[2/3] RUN make", 1.5))
        emit(Finished(3, "pull", 2.0))
        emit(Warned("careful"))

    lines = _on(terminal, work)
    assert _times_cut(lines) == [
        " => CACHED [1/3] FROM base",
        " => [2/3] RUN make",
        " => pull",
        " => WARNING: careful",
        "[+] Building FINISHED (3 done)",
    ]
    assert lines[1].endswith("   1.5s")
    assert len(lines[1]) == 80


def test_the_cursor_is_hidden_while_drawing_and_shown_at_the_end(terminal: Terminal) -> None:
    def work(emit: Emit) -> None:
        emit(Started(1, "RUN sleep"))
        _wait_for(terminal, "RUN sleep")

    _on(terminal, work)
    assert terminal.written.count(b"\x1b[?25l") == 1
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")


def test_the_terminal_is_restored_when_the_work_fails(terminal: Terminal) -> None:
    def work(emit: Emit) -> None:
        emit(Started(1, "RUN false"))
        _wait_for(terminal, "RUN false")
        emit(Finished(1, "RUN false", 0.1, error="exit status 1"))
        raise RuntimeError("as work may")

    with pytest.raises(RuntimeError, match="as work may"):
        _on(terminal, work)
    _settle(terminal)
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")
    assert _times_cut(terminal.screen()) == [" => ERROR RUN false: exit status 1", "[+] Building FAILED (1 done)"]


def test_a_terminal_that_is_held_has_what_runs_with_its_last_words_and_is_somebody_elses(terminal: Terminal) -> None:
    def work(shown: Display) -> None:
        shown(Finished(1, "FROM base", 0.1))
        shown(Started(2, "RUN false"))
        _wait_for(terminal, "RUN false")
        shown(Output(2, Stream.STDOUT, b"last words\n"))
        with shown.held():
            _settle(terminal)
            assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")
            assert _times_cut(terminal.screen()) == [" => FROM base", " => RUN false", " => => # last words"]
            written = len(terminal.written)
            shown(Output(2, Stream.STDOUT, b"more\n"))
            time.sleep(0.3)
            assert len(terminal.written) == written
            os.write(terminal.slave, b"somebody else\r\n")
        shown(Finished(2, "RUN false", 0.1, error="exit status 1"))

    _display_on(terminal, work)
    _settle(terminal)
    before = [" => FROM base", " => RUN false", " => => # last words", "somebody else"]
    after = [" => ERROR RUN false: exit status 1", "[+] Building FAILED (2 done)"]
    assert _times_cut(terminal.screen()) == [*before, *after]
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")


def test_a_quick_build_leaves_its_lines_without_rich(terminal: Terminal) -> None:
    lines = _on(terminal, lambda emit: emit(Finished(1, "[1/1] FROM base", 0.0, cached=True)))
    assert _times_cut(lines) == [" => CACHED [1/1] FROM base", "[+] Building FINISHED (1 done)"]
    assert b"\x1b" not in terminal.written


def test_a_step_cannot_send_escape_sequences_to_the_terminal(terminal: Terminal) -> None:
    def work(emit: Emit) -> None:
        emit(Started(1, "RUN \x1b]0;title\x07evil"))
        emit(Output(1, Stream.STDOUT, b"\x1b[2J\x1b]52;c;AAAA\x07\x9b5n\x07[bold]marked\x08[/bold]\nend of it\n"))
        emit(Transferred(1, "\x1b[6nitem", "get\x1bcting", 1, 2))
        _wait_for(terminal, "end of it")
        emit(Finished(1, "RUN \x1b]0;title\x07evil", 1.0, error="\x1b[6nno"))

    _on(terminal, work)
    text = terminal.written.decode()
    assert "[bold]marked[/bold]" in text
    assert not set(text) & {"\x07", "\x08", "\x9b"}
    assert "title" not in text
    kinds = {match[2] for match in _CSI.finditer(text)}
    assert kinds <= set("mKAhl")
    assert _CSI.sub("", text).count("\x1b") == 0


def test_a_terminal_of_few_lines_is_not_overrun(terminal: Terminal) -> None:
    fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 30, 0, 0))

    def work(emit: Emit) -> None:
        for step in range(20):
            emit(Started(step, f"a step with a rather long name {step}"))
            emit(Output(step, Stream.STDOUT, b"line\n" * 10))
        _wait_for(terminal, "[+] Building")
        time.sleep(0.3)

    _on(terminal, work)
    for frame in terminal.written.decode().split("\x1b[?25h")[0].split("\x1b[2K"):
        assert frame.count("\n") < 5


def test_plain_lines_go_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream, display(Mode.AUTO, stream, title="building") as emit:
        emit(Started(1, "[1/1] RUN make"))
        emit(Output(1, Stream.STDOUT, b"half"))
        emit(Finished(1, "[1/1] RUN make", 0.5))
    lines = path.read_text().splitlines()
    assert lines[:3] == ["#0 building", "", "#1 [1/1] RUN make"]
    assert re.fullmatch(r"#1 0\.\d\d\d half", lines[3])
    assert lines[4:] == ["#1 DONE 0.5s", ""]


def test_plain_lines_of_an_interrupted_build_are_complete() -> None:
    stream = io.StringIO()

    def work() -> None:
        with display(Mode.PLAIN, stream, title="") as emit:
            emit(Started(1, "RUN make"))
            emit(Output(1, Stream.STDOUT, b"half"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert re.fullmatch(r"#1 RUN make\n#1 \d\.\d\d\d half\n", stream.getvalue())


def test_many_threads_write_whole_lines() -> None:
    stream = io.StringIO()
    with display(Mode.PLAIN, stream, title="") as emit:

        def speak(step: int) -> None:
            for _ in range(200):
                emit(Output(step, Stream.STDOUT, b"abc"))
                emit(Output(step, Stream.STDOUT, b"def\n"))

        threads = [threading.Thread(target=speak, args=(step,)) for step in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1200
    assert all(re.fullmatch(r"#\d \d\.\d\d\d abcdef", line) for line in lines)


def test_json_lines_can_be_read_back() -> None:
    stream = io.StringIO()
    with display(Mode.RAWJSON, stream, title="building") as emit:
        emit(Started(1, "RUN make"))
        emit(Finished(1, "RUN make", 0.5))
    assert [list(json.loads(line)) for line in stream.getvalue().splitlines()] == [["vertexes"], ["vertexes"]]


def test_quiet_shows_nothing_and_starts_no_thread() -> None:
    stream = io.StringIO()
    threads = threading.active_count()
    with display(Mode.QUIET, stream, title="building") as emit:
        emit(Started(1, "RUN make"))
        assert threading.active_count() == threads
    assert stream.getvalue() == ""


@pytest.mark.parametrize("mode", [Mode.PLAIN, Mode.RAWJSON])
def test_a_reader_that_goes_away_does_not_stop_the_work(mode: Mode) -> None:
    read, write = os.pipe()
    with open(write, "w") as stream, display(mode, stream, title="building") as emit:
        emit(Started(1, "RUN make"))
        os.close(read)
        for _ in range(1000):
            emit(Output(1, Stream.STDOUT, b"text\n" * 100))


def test_a_terminal_that_goes_away_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    with open(slave, "w") as stream, display(Mode.TTY, stream, title="building") as emit:
        emit(Started(1, "RUN make"))
        time.sleep(0.4)
        os.close(master)
        emit(Output(1, Stream.STDOUT, b"text\n"))
        time.sleep(0.3)
        emit(Finished(1, "RUN make", 1.0))


_INTERRUPTED = """
    import sys, time
    from ocibuild.graph import Started
    from ocibuild.progress import Mode, Display, display
    with display(Mode.TTY, sys.stderr, title="Building") as emit:
        emit(Started(1, "RUN sleep"))
        while True:
            time.sleep(0.01)
"""


def test_an_interrupt_restores_the_terminal(terminal: Terminal) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(_INTERRUPTED)], stderr=terminal.slave)
    _wait_for(terminal, "RUN sleep")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    _wait_for(terminal, "KeyboardInterrupt")
    shown = terminal.written.rindex(b"\x1b[?25h")
    assert terminal.written.rindex(b"\x1b[?25l") < shown < terminal.written.rindex(b"KeyboardInterrupt")


def test_plain_and_quick_builds_import_no_rich() -> None:
    program = """
        import io, sys
        from ocibuild.graph import Finished
        from ocibuild.progress import Mode, Display, display
        for mode in (Mode.PLAIN, Mode.RAWJSON, Mode.QUIET):
            with display(mode, io.StringIO(), title="x") as emit:
                emit(Finished(1, "a", 0.0, cached=True))
        print("rich" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
