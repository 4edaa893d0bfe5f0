"""The same program makes every system call in a step and in a container of docker's: the same ones are refused."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.remove import remove
from ocibuild.sandbox.seccomp import HIGHEST
from tests.differential.engine import docker_root, engine
from tests.support.calls import Call, add_perl, call, outcomes, probing
from tests.support.lab import Lab, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [needs_root, needs_busybox]

_NAMESPACES = (0, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80)
_UPPER = 1 << 32
_EVERY_NUMBER = [(number, *[-1] * 6) for number in range(HIGHEST + 10)]
_FAMILIES = [call("socket", family, 1, 0) for family in (*range(48), 40 | _UPPER)]
_PERSONALITIES = [call("personality", value) for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF, 1, 0x40000, _UPPER)]
_CLONES = [call("clone", flags | 17, 0, 0, 0, 0) for flags in _NAMESPACES]
_CALLS = [*_EVERY_NUMBER, *_FAMILIES, *_PERSONALITIES, *_CLONES]


def _reason(made: Call, ours: int, theirs: int, unfiltered: int) -> str | None:
    """Return why a call may end in another way here than there; ``unfiltered`` is what the kernel says by itself."""
    if ours == unfiltered == errno.ENOSYS and theirs == errno.EPERM:
        return "no kernel has such a call, or none has it any more: that is the answer here, not a refusal"
    if made[0] == call("personality")[0] and ours == unfiltered and made[1] not in range(_UPPER):
        return "of an int only the lower half is looked at, as the kernel does"
    if made[0] == call("socket")[0] and ours == errno.EPERM and theirs == unfiltered:
        return "docker's own list of socket families, and the lower half of them alone, came after the docker here"
    return None


@dataclass(frozen=True, slots=True)
class Container:
    """What became of the calls in a container with docker's default profile, and in one without any."""

    filtered: dict[Call, int]
    unfiltered: dict[Call, int]


@pytest.fixture(scope="module")
def in_docker() -> Iterator[Container]:
    folder = Path(tempfile.mkdtemp(prefix="ocibuild-calls-", dir="/tmp"))
    try:
        root, image = folder / "root", folder / "image.tar"
        root.mkdir()
        add_perl(root)
        subprocess.run(["tar", "-C", root, "-cf", image, "."], check=True)
        with engine(docker_root(), folder) as running:
            words = (running.docker("import", str(image)), *probing(_CALLS))
            start = ("run", "--rm", "--network=host")
            yield Container(
                filtered=outcomes(running.docker(*start, *words)),
                unfiltered=outcomes(running.docker(*start, "--security-opt=seccomp=unconfined", *words)),
            )
    finally:
        remove(str(folder))


def test_a_step_is_refused_what_docker_refuses_and_nothing_else(in_docker: Container, tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.run(*probing(_CALLS), stack=[*made.base, made.snapshot(add_perl)]).out

    in_step = outcomes(in_lab(tmp_path, work))
    assert in_step.keys() == in_docker.filtered.keys()
    unexplained = [
        (made, ours, theirs)
        for made, ours in in_step.items()
        if ours != (theirs := in_docker.filtered[made])
        and _reason(made, ours, theirs, in_docker.unfiltered[made]) is None
    ]
    assert unexplained == []
    assert sum(outcome == errno.EPERM for outcome in in_docker.filtered.values()) > 50
