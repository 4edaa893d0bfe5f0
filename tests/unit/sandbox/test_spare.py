"""The process that waits for the next step: every step is the same in it as in one of its own."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.executor import Connection
from ocibuild.sandbox.step import Beginning
from tests.support.lab import LONELY, in_lab, needs_busybox, needs_root
from tests.support.processes import descendants, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.lab import Ended, Lab

pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])

# what a step can tell of its process; a number of a namespace or of a mount is another each time
_LOOKS = (
    "id; env; pwd; umask; hostname; ps; ls /proc/self/fd; cat /proc/self/limits /proc/self/cgroup;"
    "grep -v -e ^Vm -e ^Rss -e ^Hugetlb -e ctxt /proc/self/status; stat -c '%a %u %g %F %n' /dev/* /dev/pts/* /dev/shm;"
    "busybox cut -d' ' -f4-7,9,11 /proc/self/mountinfo | busybox sed s,/scratch/[0-9]*/,,g"
)


def _looking(made: Lab, **settings: object) -> Ended:
    with made.store.snapshots.begin() as active:
        return made.run_in(active, "/bin/sh", "-c", _LOOKS, **settings)  # type: ignore[arg-type]


@users
def test_a_step_in_a_process_that_waited_is_like_the_first(tmp_path: Path, uid: int | None) -> None:
    def work(made: Lab) -> list[tuple[int, str]]:
        return [(one.status, one.out) for one in (_looking(made) for _ in range(3))]

    first, *others = in_lab(tmp_path, work, uid=uid)
    assert first[0] == 0
    assert others == [first, first]


@users
@pytest.mark.parametrize("shm_size", [None, 1 << 20], ids=["as expected", "another"])
def test_a_step_that_was_expected_is_like_one_that_was_not(
    tmp_path: Path, uid: int | None, shm_size: int | None
) -> None:
    def expected(made: Lab) -> tuple[int, str, bool]:
        made.executor.expect()
        spare = os.pidfd_open(made.rest())
        out = _looking(made, shm_size=shm_size)
        ended, _, _ = select.select([spare], [], [], 30)
        return out.status, out.out, bool(ended)

    first = in_lab(tmp_path, lambda made: _looking(made, shm_size=shm_size).out, uid=uid)
    assert in_lab(tmp_path, expected, uid=uid) == (0, first, True)


@users
def test_a_step_that_was_expected_runs_in_the_process_that_waited(tmp_path: Path, uid: int | None) -> None:
    def work(made: Lab) -> tuple[str, str]:
        made.executor.expect()
        waiting = descendants(made.rest())[-1]
        namespace = os.readlink(f"/proc/{waiting}/ns/mnt")
        return namespace, made.sh("readlink /proc/self/ns/mnt").out.strip()

    waited, ran = in_lab(tmp_path, work, uid=uid)
    assert ran == waited


@users
def test_what_a_process_lacks_that_waited_is_told_by_the_step(tmp_path: Path, uid: int | None) -> None:
    """However early the step comes: its request may be there before the process has failed."""

    def refuse() -> None:
        def make(_spec: object) -> Beginning:
            time.sleep(0.3)
            raise OSError(errno.EPERM, "mqueue refused")

        Beginning.make = make  # type: ignore[method-assign,assignment]

    def work(made: Lab) -> list[str]:
        said = []
        for pause in (0, 1):
            made.executor.expect()
            time.sleep(pause)
            with pytest.raises(SandboxError) as caught:
                made.sh("true")
            said.append(caught.value.message)
        return said

    assert in_lab(tmp_path, work, uid=uid, before=refuse) == ["mqueue refused"] * 2


@users
def test_steps_that_differ_are_each_as_they_would_be_alone(tmp_path: Path, uid: int | None) -> None:
    kinds: list[dict[str, object]] = [
        {},
        {"connection": Connection.NONE},
        {"shm_size": 1 << 20},
        {"insecure": True},
        {"user": "1000" if uid is None else ""},
        {"hostname": "another"},
    ]

    def alone(made: Lab) -> list[str]:
        outs = []
        for kind in kinds:  # what is killed is one for another kind, or for this
            made.sh("true")
            spare = made.rest()
            os.kill(spare, signal.SIGKILL)
            select.select([os.pidfd_open(spare)], [], [])
            outs.append(_looking(made, **kind).out)
        return outs

    def after_each_other(made: Lab) -> list[str]:
        return [_looking(made, **kind).out for kind in kinds]

    def both(made: Lab) -> tuple[list[str], list[str]]:
        return after_each_other(made), alone(made)

    together, single = in_lab(tmp_path, both, uid=uid)
    # mounts are listed in the order in which they were made
    assert [sorted(one.splitlines()) for one in together] == [sorted(one.splitlines()) for one in single]


@users
def test_a_process_that_waits_holds_nothing_of_any_step_and_ends_with_the_spawner(
    tmp_path: Path, uid: int | None
) -> None:
    def work(made: Lab) -> tuple[list[str], list[int]]:
        made.sh("true")
        waiting = descendants(made.rest())
        wait_until(lambda: all("socket" in " ".join(_open_files(one)) for one in waiting))
        files = [name for one in waiting for name in _open_files(one) if "memfd" in name or "pipe" in name]
        made.spawner.close()
        return files, [one for one in waiting if os.path.exists(f"/proc/{one}")]

    assert in_lab(tmp_path, work, uid=uid) == ([], [])


def _open_files(pid: int) -> list[str]:
    return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd") if int(entry.name) > 2]
