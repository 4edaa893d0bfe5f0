"""A COPY shares unchanged files with the one of the build before, whoever builds, and nothing depends on that one."""

from __future__ import annotations

import json
import os
import secrets
import stat
from typing import TYPE_CHECKING

import pytest

from demo.remove import remove

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

_TOO_MANY = 100_000
TEXT = """\
FROM {base}
COPY --chown=7:8 files /files
RUN stat -c '%n %u:%g %a' /files/* && cat /files/*/b && echo more >> /files/d/b
"""
FILES = {"files/a": "one", "files/d/b": "same", "files/d/c": "same too", "files/run": "#!/bin/sh\n"}


@pytest.fixture
def context(everywhere: Program, busybox_base: str) -> Path:
    context = everywhere.context("sharing", {"Dockerfile": TEXT.format(base=busybox_base), **FILES})
    (context / "files/run").chmod(0o4755)
    return context


def _copies(program: Program) -> list[dict[str, os.stat_result]]:
    """Return the files of each snapshot of the COPY, the earliest first."""
    folders = sorted((program.store / "snapshots").iterdir(), key=lambda path: int(path.name))
    tops = [folder / "fs/files" for folder in folders if (folder / "fs/files/a").exists()]
    found = [{str(path.relative_to(top)): path.lstat() for path in top.rglob("*")} for top in tops]
    return [{name: status for name, status in one.items() if stat.S_ISREG(status.st_mode)} for one in found]


def _shared(program: Program) -> set[str]:
    """Return the names whose file is the same in the earlier copy and in the later."""
    before, after = _copies(program)
    return {name for name in after if after[name].st_ino == before[name].st_ino}


def _assert_same_layers_elsewhere(program: Program, context: Path) -> None:
    """Assert that a store which had nothing to share makes the same layers of ``two``."""
    other = program.user.home / f"another-store-{secrets.token_hex(4)}"
    program.build(context, "-t", "two", root=other)
    assert _layers(program, "two")[:-1] == _layers(program, "two", "--root", other)[:-1]


def _layers(program: Program, image: str, *root: str | Path) -> list[str]:
    (inspected,) = json.loads(program.check(*root, "inspect", image))
    return list(inspected["RootFS"]["Layers"])


def test_unchanged_files_are_shared_and_the_layer_is_the_same(everywhere: Program, context: Path) -> None:
    everywhere.build(context, "-t", "one")
    (context / "files/a").write_text("two")
    built = everywhere.build(context, "-t", "two")
    assert len(built.ran("COPY")) == 1
    assert built.output == [
        "/files/a 7:8 644",
        "/files/d 7:8 755",
        "/files/run 7:8 4755",
        "same",
    ]
    assert _shared(everywhere) == {"d/b", "d/c", "run"}
    _assert_same_layers_elsewhere(everywhere, context)


def test_the_later_image_is_whole_without_the_earlier_one(everywhere: Program, context: Path) -> None:
    everywhere.run("prune", "--all")
    everywhere.build(context, "-t", "one")
    (context / "files/a").write_text("two")
    everywhere.build(context, "-t", "two")
    items = [json.loads(line) for line in everywhere.check("du", "--format", "json").splitlines()]
    earlier = min(int(item["ID"]) for item in items if "COPY" in item["Description"])
    everywhere.check("rmi", "one")
    everywhere.check("prune", "--filter", f"id={earlier}")
    assert len(_copies(everywhere)) == 1
    assert everywhere.build(context, "-t", "again").ran() == []
    assert "valid" in everywhere.check("validate", "two")
    script = "cat /files/a /files/d/c /files/d/b; stat -c %u:%g /files/run"
    shown = everywhere.check("run", "--rm", "two", "sh", "-c", script)
    assert shown == "twosame toosamemore\n7:8\n"


def test_a_file_with_as_many_names_as_it_can_have_is_copied(everywhere: Program, context: Path) -> None:
    most = os.pathconf(context, "PC_LINK_MAX")
    if not 1 < most < _TOO_MANY:
        pytest.skip("this file system has no such limit, or one that is not in reach")
    everywhere.run("prune", "--all")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace(" --chown=7:8", ""))  # an ordinary user links his own only
    everywhere.build(context, "-t", "one")
    (file,) = everywhere.store.glob("snapshots/*/fs/files/run")
    names = everywhere.store / "names"
    names.mkdir()
    for number in range(most - 1):
        os.link(file, names / str(number))
    (context / "files/a").write_text("two")
    everywhere.build(context, "-t", "two")
    remove(str(names))
    assert _shared(everywhere) == {"d/b", "d/c"}
    _assert_same_layers_elsewhere(everywhere, context)


def test_trees_that_are_folders_share_nothing(everywhere: Program, context: Path) -> None:
    everywhere.run("prune", "--all")
    everywhere.build(context, "--snapshotter", "copy")
    (context / "files/a").write_text("two")
    everywhere.build(context, "--snapshotter", "copy")
    before, after = _copies(everywhere)
    assert not {status.st_ino for status in before.values()} & {status.st_ino for status in after.values()}
