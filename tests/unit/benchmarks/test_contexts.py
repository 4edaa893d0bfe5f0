from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.contexts import change, first_file, step_that_writes, write_large_file
from benchmarks.files import write_files

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 50_001


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _packed(content: bytes) -> float:
    return len(gzip.compress(content, 6)) / len(content)


def test_files_are_many_alike_in_size_and_half_of_each_is_noise(tmp_path: Path) -> None:
    write_files(str(tmp_path / "tree"), "seed", 250, _SIZE)

    contents = _contents(tmp_path / "tree")
    assert len(contents) == 250
    assert {len(content) for content in contents.values()} == {_SIZE}
    assert len(os.listdir(tmp_path / "tree")) == 3
    alone, together = _packed(next(iter(contents.values()))), _packed(b"".join(contents.values()))
    assert 0.7 < alone < 0.85  # noise does not get smaller, the words to a bit more than half
    assert alone - together < 0.05  # and hardly with the help of another file


def test_a_step_writes_the_same_files_as_the_benchmark_would_and_others_for_another_seed(tmp_path: Path) -> None:
    write_files(str(tmp_path / "here"), "seed", 3, 1_000)
    write_files(str(tmp_path / "other"), "another", 3, 1_000)

    instruction, _, arguments = step_that_writes(str(tmp_path / "step"), "seed", 3, 1_000).partition(" ")
    subprocess.run([sys.executable, *json.loads(arguments)[1:]], check=True)

    assert instruction == "RUN"
    assert _contents(tmp_path / "step") == _contents(tmp_path / "here")
    assert not set(_contents(tmp_path / "other").values()) & set(_contents(tmp_path / "here").values())


def test_a_large_file_has_its_size_and_no_holes(tmp_path: Path) -> None:
    size = (64 << 20) + 12_345

    write_large_file(str(tmp_path / "large"), size)

    status = os.stat(tmp_path / "large")
    assert status.st_size == size
    assert status.st_blocks * 512 >= size
    with (tmp_path / "large").open("rb") as file:
        assert 0.7 < _packed(file.read(4 << 20)) < 0.85


def test_a_change_is_one_of_content_and_not_of_size(tmp_path: Path) -> None:
    write_files(str(tmp_path / "tree"), "seed", 101, 100)
    before = _contents(tmp_path / "tree")

    change(first_file(str(tmp_path / "tree")), "changed\n")

    after = _contents(tmp_path / "tree")
    assert [name for name in before if before[name] != after[name]] == ["0000/000000"]
    assert after["0000/000000"][:8] == b"changed\n"
    assert len(after["0000/000000"]) == 100
