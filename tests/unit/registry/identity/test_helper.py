from __future__ import annotations

import os
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import ConfigError
from ocibuild.registry.identity.helper import Helper, Secret
from tests.support.credential_helper import add_helper, add_store
from tests.support.processes import processes_with

if TYPE_CHECKING:
    from pathlib import Path

HOST = "r.example:5000"
WORD = "hush-hush"
ANNA = Secret("anna", 'hush "\\ ü')


def helper(tmp_path: Path, script: str, seconds: float = 10) -> Helper:
    return Helper("x", "config.json", add_helper(tmp_path, "x", script), seconds)


def test_what_is_stored_is_there_until_it_is_erased(tmp_path: Path) -> None:
    safe = Helper("safe", "config.json", add_store(tmp_path, "safe"))
    assert safe.get(HOST) is None
    safe.erase(HOST)
    safe.store(HOST, ANNA)
    safe.store("s.example", Secret("otto", "x"))
    assert safe.get(HOST) == ANNA
    safe.store(HOST, Secret("anna", "new"))
    assert safe.get(HOST) == Secret("anna", "new")
    safe.erase(HOST)
    assert safe.get(HOST) is None
    assert safe.get("s.example") == Secret("otto", "x")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("cat; exit 1", "exit status 1"),
        ("""cat >/dev/null; echo '{"Secret": "hush-hush"}'; exit 1""", "exit status 1"),
        ("echo 'cannot store hush-hush'; exit 1", "exit status 1"),
        ("echo the safe is locked; echo hush-hush; exit 1", "exit status 1"),
        ("echo the safe is locked; exit 1", "docker-credential-x: the safe is locked"),
    ],
)
@pytest.mark.parametrize("action", ["get", "store"])
def test_a_helper_that_fails_is_named_and_its_secret_is_not(
    tmp_path: Path, script: str, complaint: str, action: str
) -> None:
    broken = helper(tmp_path, script)
    if action == "get" and "Secret" not in script:
        complaint = "docker-credential-x: "  # it does not know the secret to hide
    with pytest.raises(ConfigError, match=complaint) as caught:
        broken.get(HOST) if action == "get" else broken.store(HOST, Secret("anna", WORD))
    if action == "store" or "Secret" in script:
        assert WORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "script",
    ["exec sleep 100", "sleep 3", "exec sleep 100 >&-", "while :; do echo; sleep 0.05; done"],
    ids=["sleeps", "a child sleeps", "closes its output", "never ends"],
)
def test_a_helper_that_hangs_is_left(tmp_path: Path, script: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=r"no answer within 0\.3 seconds"):
        helper(tmp_path, script, seconds=0.3).get(HOST)
    assert time.monotonic() - begun < 5


def test_a_helper_that_does_not_read_is_no_hindrance(tmp_path: Path) -> None:
    helper(tmp_path, "exit 0").store(HOST, Secret("anna", "x" * 200_000))


def test_a_secret_is_in_no_command_line_and_no_file(tmp_path: Path) -> None:
    mark = "hush-4711"
    script = f"tr '\\0' '\\n' </proc/$$/cmdline >{tmp_path}/cmdline; ls -l /proc/$$/fd >{tmp_path}/fds; cat >/dev/null"
    helper(tmp_path, script).store(HOST, Secret("anna", mark))
    assert "store" in (tmp_path / "cmdline").read_text()
    assert mark not in (tmp_path / "cmdline").read_text()
    assert processes_with(mark) == []
    written = [path for path in tmp_path.iterdir() if mark in path.read_text()]
    assert written == [], "the helper wrote nothing, and we neither"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for script in ("exit 0", "exit 1", "exec sleep 100", "yes"):
        with pytest.raises(ConfigError):
            helper(tmp_path, script, seconds=0.5).get(HOST)
    assert os.listdir("/proc/self/fd") == before
