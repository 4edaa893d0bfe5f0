"""The examples of the documents, typed as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for path in (ROOT / "docs").glob("*.md") if "```console" in path.read_text())


class Example(NamedTuple):
    line: int
    command: str
    output: str


def examples(text: str) -> list[Example]:
    """Return the commands of the console blocks: ``$ COMMAND``, its here-document's lines, then what it prints."""
    found = []
    for block in re.finditer(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        first = text.count("\n", 0, block.start(1)) + 1
        for part in re.finditer(r"^\$ (.*\n(?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
            command, output = _split(part[1])
            found.append(Example(first + block[1].count("\n", 0, part.start()), command, output))
    return found


def _split(part: str) -> tuple[str, str]:
    lines = part.splitlines(keepends=True)
    end = 1
    if "<<'END'" in lines[0]:
        end = lines.index("END\n") + 1
    while lines[end - 1].endswith("\\\n"):
        end += 1
    return "".join(lines[:end]), "".join(lines[end:])


def pattern(output: str) -> str:
    """Return what the output must match: ``…`` stands for anything, ``[N]`` at the end for the exit status."""
    return re.escape(output).replace("…", r"[\s\S]*?")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_print_what_the_document_says(
    document: Path, busybox_base: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    registry = busybox_base.partition("/")[0]
    if "arm64v8" in document.read_text():
        request.getfixturevalue("arm64_base")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "ocibuild"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m ocibuild "$@"\n')
    script.chmod(0o755)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("OCIBUILD")},
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "OCIBUILD_ROOT": str(tmp_path / "store"),
        "PYTHONPATH": str(ROOT),
    }

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command.replace("localhost:5000", registry)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    setup = run(f"ocibuild pull -q {busybox_base} && ocibuild push -q {busybox_base} localhost:5000/busybox")
    assert setup.returncode == 0, setup.stderr
    run("rm -rf store")
    commands = examples(document.read_text())
    assert commands
    for example in commands:
        done = run(example.command)
        # progress, on standard error, is no part of an example; a message is
        failure = f"{done.stderr}[{done.returncode}]\n" if done.returncode else ""
        printed = (done.stdout + failure).replace(registry, "localhost:5000")
        assert re.fullmatch(pattern(example.output), printed), f"{document.name}:{example.line}: printed\n{printed}"


def test_example_of_the_python_api_prints_an_image_id(tmp_path: Path) -> None:
    block = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL of=readme\n")
    program = block[1].replace("/var/tmp/store", str(tmp_path / "store"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.stdout), done.stderr
