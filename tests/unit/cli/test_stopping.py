"""A signal stops the process wherever it comes, and leaves no lock behind for which other threads would wait."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """\
import os, signal, sys, time, weakref
from ocibuild.cli.stopping import Terminated, raise_when_stopped

class Thing: pass

def going(_):
    while times:
        times.pop()
        os.kill(os.getpid(), int(sys.argv[1]))

raise_when_stopped()
times = [1] * int(sys.argv[2])
try:
    while True:
        thing = Thing()
        watched = weakref.ref(thing, going)
        del thing  # calls going(), whose exceptions are ignored
        time.sleep(0.001)
except (Terminated, KeyboardInterrupt) as error:
    print(type(error).__name__)
"""

_FAILING = """\
def going(_): 1 / 0
thing = Thing()
watched = weakref.ref(thing, going)
del thing
"""

_IMPORTING = """\
import sys, time
from ocibuild.cli.stopping import Terminated, raise_when_stopped

raise_when_stopped()
sys.path.insert(0, sys.argv[1])
try:
    import stopped
    time.sleep(60)
except Terminated:
    print(sys.modules["stopped"].whole)
"""

_LOCKING = """\
import os, signal, threading, time
from functools import partial
from types import SimpleNamespace
from ocibuild.cli.stopping import Terminated, raise_when_stopped

raise_when_stopped()
lock = SimpleNamespace(acquire=None, release=None, __exit__=lambda *_: None)
lock.__enter__ = partial(os.kill, os.getpid(), signal.SIGTERM)
entered = False
try:
    with threading.Condition(lock):
        entered = True
    time.sleep(60)
except Terminated:
    print(entered)
"""


def _run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")], ids=["term", "int"]
)
def test_what_is_raised_where_it_is_ignored_is_raised_again(number: signal.Signals, error: str, times: int) -> None:
    result = _run(_SCRIPT, str(int(number)), str(times))
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{error}\n", "")


def test_what_else_is_ignored_is_printed() -> None:
    script = _SCRIPT.partition("times =")[0] + _FAILING
    result = _run(script)
    assert result.returncode == 0
    assert "Exception ignored in" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_an_import_is_not_broken_off(tmp_path: Path) -> None:
    """Python would keep the lock of all imports, and other threads could import nothing any more."""
    (tmp_path / "stopped.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nfor _ in range(1000): pass\nwhole = True\n"
    )
    result = _run(_IMPORTING, str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_the_taking_of_a_lock_is_not_broken_off() -> None:
    result = _run(_LOCKING)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_who_ignores_interrupts_goes_on() -> None:
    script = "from ocibuild.cli.stopping import *\nimport os\nraise_when_stopped()\nos.kill(os.getpid(), 2)"
    result = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, f"{script}\nprint('on')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


_TWICE = """\
import os, signal, sys, time
from ocibuild.cli.stopping import Terminated, raise_when_stopped

raise_when_stopped()
sys.path.insert(0, sys.argv[1])
try:
    import stopped
    os.kill(os.getpid(), signal.SIGTERM)  # before what was put off
    time.sleep(60)
except Terminated:
    time.sleep(0.1)
    print("cleaned up")
"""


def test_what_was_put_off_does_not_come_into_the_cleaning_up(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    result = _run(_TWICE, str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "cleaned up\n", "")


def test_a_mask_that_was_inherited_keeps_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nwhole = True\n")
    masked = f"import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGALRM}})\n{_IMPORTING}"
    result = _run(masked, str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")
