from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]


def completed(folder: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of the words, with what ``completion bash`` prints."""
    program = folder / "ocibuild"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {sys.executable} -m ocibuild "$@"\n')
    program.chmod(0o755)
    script = """\
. <(ocibuild completion bash)
complete -p ocibuild > /dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ocibuild_completion ocibuild
printf '%s\\n' "${COMPREPLY[@]}"
"""
    result = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ocibuild", "im"], ["image", "images", "import"]),
        (["ocibuild", "image", "pu"], ["pull", "push"]),
        (["ocibuild", "images", "--fo"], ["--format"]),
        (["ocibuild", "save", "--format", "oci-"], ["oci-archive", "oci-dir"]),
        (["ocibuild", "nope", "x"], []),
    ],
    ids=["command", "command-of-a-group", "option", "value", "nothing"],
)
def test_bash_offers_what_can_follow(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    assert completed(tmp_path, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_of_its_own(shell: str) -> None:
    command = [sys.executable, "-m", "ocibuild", "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT).stdout
    assert f"_OCIBUILD_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_another_shell_is_refused() -> None:
    command = [sys.executable, "-m", "ocibuild", "completion", "tcsh"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert result.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr
