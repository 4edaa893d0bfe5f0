"""Images of files and settings alone: the same whenever, wherever and however they are built."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

TEXT = """\
FROM scratch AS files
COPY tree/ /kept/
COPY <<END /written
content
END
FROM {base}
WORKDIR /srv/deep
COPY one /etc/one
COPY one tree/ /new/below/
COPY --link one /linked/one
COPY --chown=5:6 --chmod=640 one .
ADD packed.tar /unpacked/
COPY --from=files /written /kept/ /taken/
COPY <<END /heredoc
more
END
ENV NAME=value
LABEL a=b
CMD ["cat", "/heredoc"]
"""
_NEWEST = 1_700_000_000


def _context(program: Program, base: str) -> Path:
    files: dict[str, str | bytes] = {
        "Dockerfile": TEXT.format(base=base), "one": "one", "tree/a": "a", "tree/below/b": "b",
        "packed.tar": bytes(1024),
    }  # fmt: skip
    context = program.context("files", files)
    for number, path in enumerate(sorted(context.rglob("*"), reverse=True)):
        os.utime(path, (_NEWEST - number, _NEWEST - number))
    return context


@pytest.mark.parametrize("base", ["scratch", "busybox"])
def test_files_and_settings_alone_give_the_same_image(ocibuild: Program, busybox_base: str, base: str) -> None:
    context = _context(ocibuild, busybox_base if base == "busybox" else "scratch")
    home = ocibuild.user.home
    first = ocibuild.build(context, "-t", "files:1", root=home / "first")
    time.sleep(1.1)  # what is made now has another second than what was made then
    ways = [(), ("--snapshotter", "copy"), ("--executor", "proot")]
    for number, way in enumerate(ways):
        assert ocibuild.build(context, *way, root=home / f"other{number}").image_id == first.image_id
    assert ocibuild.build(context, "--no-cache", root=home / "first").image_id == first.image_id
    said = ocibuild.build(context, "--verify-reproducible", root=home / "first").stderr
    assert "differ" not in said
    (found,) = json.loads(ocibuild.check("--root", home / "first", "inspect", "files:1"))
    assert found["Created"].startswith("2023-11-14T22:13:") or base == "busybox"


def test_where_something_runs_it_is_made_now(ocibuild: Program, busybox_base: str) -> None:
    context = ocibuild.context(
        "runs", {"Dockerfile": f"FROM {busybox_base}\nRUN true\nWORKDIR /new\nCOPY Dockerfile /copied/\n"}
    )
    os.utime(context / "Dockerfile", (_NEWEST, _NEWEST))
    begun = time.time()
    ocibuild.build(context, "-t", "runs:1")
    wait_until(lambda: time.time() > begun + 1)
    shown = ocibuild.check("run", "--rm", "runs:1", "stat", "-c", "%Y", "/new", "/copied", "/copied/Dockerfile")
    new, copied, file = map(int, shown.split())
    assert int(begun) <= new <= copied <= time.time()
    assert file == _NEWEST
    created = ocibuild.check("inspect", "-f", "{{.Created}}", "runs:1").strip()
    assert created >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begun))
