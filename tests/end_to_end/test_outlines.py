"""Stages that only copy: their base is not unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.program import Program

TEXT = """\
FROM {base}
WORKDIR /srv/www
COPY . .
COPY --chown=7:8 --chmod=640 page.html /usr/bin/busybox-page
ENV A=b
"""
FILES = {"page.html": "a page", "sub/file": "a file"}


def _bytes_below(program: Program) -> int:
    """Return how many bytes the files of all snapshots have."""
    snapshots = program.store / "snapshots"
    return sum(file.lstat().st_size for file in snapshots.rglob("*") if file.is_file() and not file.is_symlink())


@pytest.mark.parametrize("snapshotter", ["overlay", "copy"])
def test_a_stage_that_only_copies_never_unpacks_its_base(
    everywhere: Program, busybox_base: str, snapshotter: str
) -> None:
    everywhere.run("prune", "--all")
    context = everywhere.context("page", {"Dockerfile": TEXT.format(base=busybox_base), **FILES})
    built = everywhere.build(context, "--no-cache", "-t", "page", "--snapshotter", snapshotter)
    assert len(built.ran("COPY")) == 2
    script = "stat -c '%n %u:%g %a' /usr/bin/busybox-page; cat page.html sub/file"
    listed = everywhere.check("run", "--rm", "page", "sh", "-c", script)
    assert listed == "/usr/bin/busybox-page 7:8 640\na pagea file"


def test_nothing_of_the_base_is_on_disk(ocibuild: Program, busybox_base: str) -> None:
    context = ocibuild.context("page", {"Dockerfile": TEXT.format(base=busybox_base), **FILES})
    ocibuild.build(context, "-t", "made")
    assert _bytes_below(ocibuild) < 10_000, "busybox alone has a million"
    assert "valid" in ocibuild.check("validate", "made")


def test_a_step_that_runs_later_gets_the_files(ocibuild: Program, busybox_base: str) -> None:
    text = TEXT.format(base=busybox_base)
    ocibuild.build(ocibuild.context("page", {"Dockerfile": text, **FILES}), "-t", "page")
    more = ocibuild.context("page", {"Dockerfile": f"{text}RUN cat page.html > /seen && ls /usr/bin/env\n", **FILES})
    built = ocibuild.build(more, "-t", "more")
    assert len(built.ran("RUN")) == 1
    assert built.ran("COPY page") == []
    assert ocibuild.check("run", "--rm", "more", "cat", "/seen") == "a page"


def test_what_stands_in_the_way_is_seen(ocibuild: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nCOPY tree /usr/bin/\n"
    context = ocibuild.context("way", {"Dockerfile": text, "tree/busybox/file": "x"})
    built = ocibuild.try_build(context)
    assert built.status == 1
    assert "/usr/bin/busybox in the image is something that is no directory, and a directory cannot replace it" in str(
        built.errors
    )


def test_directories_on_the_way_keep_their_own_modes_and_owners(everywhere: Program, busybox_base: str) -> None:
    """They come into the new layer, and must be there what they are in the base."""
    odd = f"FROM {busybox_base}\nRUN mkdir -p /odd/way && chmod 1751 /odd && chown 5:6 /odd\n"
    everywhere.build(everywhere.context("odd", {"Dockerfile": odd}), "-t", "odd-base")
    text = "FROM odd-base\nCOPY page.html /odd/way/\nCOPY page.html /tmp/\n"
    everywhere.run("prune", "--all")
    everywhere.build(everywhere.context("page", {"Dockerfile": text, **FILES}), "-t", "page")
    listed = everywhere.check("run", "--rm", "page", "stat", "-c", "%u:%g %a", "/odd", "/odd/way", "/tmp")
    assert listed.splitlines() == ["5:6 1751", "0:0 755", "0:0 1777"]
