"""What is cached and what runs: real builds, one process each, on one store."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from ocibuild.machine import Machine
from ocibuild.solver.operations import copy as copying
from ocibuild.store import Blobs
from tests.unit.solver.bench import SHELL, Bench, Built, refusing_machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def kit(bench: Bench) -> Bench:
    bench.add_shell()
    bench.write("src/a", "a")
    bench.write("src/b", "b")
    return bench


_STEPS = f"{SHELL}COPY src /src\nRUN cat /src/* > /all\n"


def works(bench: Bench, dockerfile: str, **request: object) -> Built:
    result = bench.build(dockerfile, **request)  # type: ignore[arg-type]
    assert not result.error, result.error + result.output
    return result


def test_an_unchanged_build_is_cached_and_the_same_to_the_byte(kit: Bench) -> None:
    first, again = works(kit, _STEPS), works(kit, _STEPS)
    assert set(first.steps.values()) == {"ran"}
    assert set(again.steps.values()) == {"cached"}
    assert again.image == first.image
    assert first.tree["all"] == "-0644 0:0 ab"


def test_files_that_change_during_a_build_are_in_it_and_in_no_later_one(
    kit: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is of the files as they were when the build began, and nobody else may be given others for it."""
    real = copying.copy

    def copy_late(*arguments: Any) -> None:
        kit.write("src/a", "another and longer")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(copying, "copy", copy_late)
        built = works(kit, _STEPS)
    assert built.tree["all"].endswith(" another and longerb")
    kit.write("src/a", "a")
    again = works(kit, _STEPS)
    assert again.tree["all"].endswith(" ab")
    assert (again.did("COPY busybox"), again.did("COPY src"), again.did("RUN")) == ("cached", "ran", "ran")
    kit.write("src/a", "another and longer")
    assert works(kit, _STEPS).tree["all"].endswith(" another and longerb")


def test_no_cache_runs_all_and_its_results_are_kept(kit: Bench) -> None:
    works(kit, f"{SHELL}RUN cat /proc/uptime > /x\n")
    anew = works(kit, f"{SHELL}RUN cat /proc/uptime > /x\n", use_cache=False)
    assert set(anew.steps.values()) == {"ran"}
    again = works(kit, f"{SHELL}RUN cat /proc/uptime > /x\n")
    assert set(again.steps.values()) == {"cached"}
    assert again.image == anew.image


_FILTERED = f"""\
{SHELL.replace("scratch", "scratch AS shell")}FROM shell AS one
RUN date; echo one > /1
FROM shell AS two
RUN cat /proc/uptime > /2
FROM shell
COPY --from=one /1 /1
RUN cat /1
COPY --from=two /2 /2
RUN cat /2
"""


def did(result: Built, *parts: str) -> list[str]:
    return [result.did(part) for part in parts]


def test_stages_that_are_filtered_run_and_what_takes_the_same_files_from_them_is_cached(kit: Bench) -> None:
    first = works(kit, _FILTERED)
    one = works(kit, _FILTERED, anew=("one",))
    assert did(one, "RUN date", "COPY --from=one", "RUN cat /1") == ["ran", "cached", "cached"]
    assert did(one, "COPY --from=two", "RUN cat /2") == ["cached", "cached"]
    assert one.layers == first.layers
    assert one.did("RUN cat /proc") == "cached"


def test_what_takes_other_files_from_a_filtered_stage_runs(kit: Bench) -> None:
    works(kit, _FILTERED)
    two = works(kit, _FILTERED, anew=("2",))
    assert did(two, "RUN cat /1", "RUN cat /proc", "COPY --from=two", "RUN cat /2") == ["cached", "ran", "ran", "ran"]
    again = works(kit, _FILTERED)
    assert set(again.steps.values()) == {"cached"}
    assert again.image == two.image


def test_what_stands_on_a_filtered_stage_runs_and_what_lies_below_does_not(kit: Bench) -> None:
    text = f"{SHELL.replace('scratch', 'scratch AS below')}RUN echo 1\nFROM below AS middle\nRUN echo 2\nFROM middle\n"
    text += "RUN echo 3\n"
    works(kit, text)
    again = works(kit, text, anew=("middle",))
    assert did(again, "RUN echo 1", "RUN echo 2", "RUN echo 3") == ["cached", "ran", "ran"]


def test_a_linked_copy_onto_a_filtered_stage_is_cached(kit: Bench) -> None:
    text = f"{SHELL.replace('scratch', 'scratch AS below')}RUN echo 1\nFROM below\nCOPY --link src /src\nRUN echo 2\n"
    works(kit, text)
    again = works(kit, text, anew=("below",))
    assert did(again, "RUN echo 1", "COPY --link", "RUN echo 2") == ["ran", "cached", "ran"]


@pytest.mark.parametrize("filtered", ["one", "two"])
def test_of_two_equal_stages_a_filtered_one_runs_once_for_both(kit: Bench, filtered: str) -> None:
    stage = SHELL + "RUN cat /proc/uptime > /x\n"
    stages = stage.replace("scratch", "scratch AS one") + stage.replace("scratch", "scratch AS two")
    text = f"{stages}{SHELL}COPY --from=one /x /1\nCOPY --from=two /x /2\nRUN cmp /1 /2\n"
    first = works(kit, text)
    again = works(kit, text, anew=(filtered,))
    assert did(again, "RUN cat", "COPY --from=one", "COPY --from=two", "RUN cmp") == ["ran"] * 4
    assert again.tree["1"] == again.tree["2"] != first.tree["1"]


def test_a_filtered_step_that_takes_the_same_files_runs_all_the_same(kit: Bench) -> None:
    """It is known by what its inputs are, too, and does not come from the cache that way either."""
    works(kit, _FILTERED)
    again = works(kit, _FILTERED, anew=("one", "3"))
    assert did(again, "RUN date", "COPY --from=one", "RUN cat /1", "RUN cat /2") == ["ran"] * 4


_STAGES = """\
FROM scratch AS builder
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
COPY src /src
RUN echo {made} > /made # {comment}
FROM scratch
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
COPY --from=builder /made /made
RUN cat /made
"""


def test_a_builder_stage_that_gives_the_same_bytes_invalidates_nothing_after_it(kit: Bench) -> None:
    first = works(kit, _STAGES.format(made="x", comment=1))
    again = works(kit, _STAGES.format(made="x", comment=2))
    assert again.did("RUN echo") == "ran"
    assert again.did("COPY --from") == "cached"
    assert again.did("RUN cat") == "cached"
    assert again.layers == first.layers


def test_what_follows_such_a_copy_is_known_by_what_it_stands_on(kit: Bench) -> None:
    """Also where the copy itself was cached when the step after it ran."""
    more = "RUN echo more > /more\nCOPY --from=builder /src /src\n"
    works(kit, _STAGES.format(made="x", comment=1))
    works(kit, _STAGES.format(made="x", comment=1) + more)
    again = works(kit, _STAGES.format(made="x", comment=2) + more)
    assert [again.did(part) for part in ("RUN echo x", "RUN cat", "RUN echo more")] == ["ran", "cached", "cached"]
    assert again.did("COPY --from=builder /src") == "cached"


def test_a_builder_stage_that_gives_other_bytes_invalidates_what_follows(kit: Bench) -> None:
    works(kit, _STAGES.format(made="x", comment=1))
    again = works(kit, _STAGES.format(made="y", comment=1))
    assert [again.did(part) for part in ("RUN echo", "COPY --from", "RUN cat")] == ["ran"] * 3


def test_the_stage_of_a_cached_copy_is_not_looked_at(kit: Bench) -> None:
    works(kit, _STAGES.format(made="x", comment=1))
    again = works(kit, _STAGES.format(made="x", comment=1))
    assert not [label for label in again.steps if "RUN echo" in label]


def test_two_equal_stages_run_once(kit: Bench) -> None:
    stage = 'FROM scratch AS {0}\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\nRUN echo x > /x\n'
    last = "FROM scratch\nCOPY --from=one /x /1\nCOPY --from=two /x /2\n"
    result = works(kit, stage.format("one") + stage.format("two") + last)
    assert result.did("RUN echo") == "ran"
    assert result.tree == {"1": "-0644 0:0 x\n", "2": "-0644 0:0 x\n"}


def test_what_was_done_before_a_failure_stays_cached(kit: Bench) -> None:
    failed = kit.build(f"{SHELL}RUN echo 1 > /1\nRUN echo oops; exit 7\nRUN true\n")
    assert "did not complete successfully: exit code: 7" in failed.error
    assert failed.error.startswith(f"{kit.context}/Dockerfile:5: ")
    assert (failed.did("echo 1"), failed.did("oops")) == ("ran", "failed")
    assert "RUN true" not in failed.steps
    again = works(kit, f"{SHELL}RUN echo 1 > /1\nRUN true\n")
    assert again.did("echo 1") == "cached"


def test_a_removed_layer_is_packed_again(kit: Bench) -> None:
    first = works(kit, _STEPS)
    for name in (kit.root / "blobs/sha256").iterdir():
        name.unlink()
    again = works(kit, _STEPS)
    assert set(again.steps.values()) == {"cached"}
    assert again.image == first.image
    blobs = Blobs(str(kit.root))
    assert sum(blobs.has(digest) for digest in blobs) == 5  # three layers, a config and a manifest


def test_a_removed_snapshot_is_made_again(kit: Bench) -> None:
    first = works(kit, _STEPS)
    with sqlite3.connect(kit.root / "ocibuild.db") as database:
        database.execute("PRAGMA foreign_keys = ON")
        ((last,),) = database.execute("SELECT max(id) FROM snapshots")
        database.execute("DELETE FROM snapshots WHERE id = ?", (last,))
    database.close()
    shutil.rmtree(kit.root / "snapshots" / str(last))
    again = works(kit, _STEPS)
    assert (again.did("COPY src"), again.did("RUN")) == ("cached", "ran")
    assert again.tree == first.tree


def test_packing_that_was_killed_is_done_by_the_next_build(kit: Bench) -> None:
    """A step's record is there before its layer is."""
    first = works(kit, _STEPS)
    with sqlite3.connect(kit.root / "ocibuild.db") as database:
        database.execute("UPDATE snapshots SET layer = NULL, diff_id = NULL, chain_id = NULL")
    database.close()
    again = works(kit, _STEPS)
    assert set(again.steps.values()) == {"cached"}
    assert again.image == first.image


def test_a_build_that_is_killed_leaves_a_store_that_the_next_one_uses(kit: Bench) -> None:
    dockerfile = f"{SHELL}RUN echo 1 > /1\nRUN echo begun; sleep 60\n"
    child = os.fork()
    if child == 0:
        try:
            kit.build(dockerfile)
        finally:
            os._exit(0)
    database = kit.root / "ocibuild.db"
    _wait_for(lambda: database.exists() and _count(database, "records") == 4)  # two steps, two keys each
    _kill_with_children(child)
    result = works(kit, f"{SHELL}RUN echo 1 > /1\n")
    assert set(result.steps.values()) == {"cached"}
    works(kit, f"{SHELL}RUN echo 1 > /1\nRUN echo 2\n")
    assert sorted(os.listdir(kit.root / "ingest")) == []
    assert _count(database, "snapshots WHERE committed = 0") == 0


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def _count(path: Path, what: str) -> int:
    database = sqlite3.connect(path, timeout=10)
    try:
        ((number,),) = database.execute(f"SELECT count(*) FROM {what}")
        return int(number)
    except sqlite3.OperationalError:
        return -1
    finally:
        database.close()


def _kill_with_children(pid: int) -> None:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]
    for child in children:
        os.kill(child, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_two_processes_at_once_do_each_step_once(kit: Bench) -> None:
    kit.write("Dockerfile", f"{SHELL}RUN echo $RANDOM$RANDOM$RANDOM > /x; sleep 0.3\n")
    dockerfile = (kit.context / "Dockerfile").read_text()
    works(kit, SHELL)
    images = []
    readers = []
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                result = kit.build(dockerfile)
                os.write(writing, f"{result.image} {result.did('RUN')} {result.error}".encode())
            except BaseException:  # noqa: BLE001  (whatever it is, the test shows it)
                os.write(writing, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(writing)
        readers.append((child, reading))
    for child, reading in readers:
        with open(reading, encoding="ascii") as pipe:
            images.append(pipe.read().split(maxsplit=1))
        os.waitpid(child, 0)
    assert images[0][0] == images[1][0], images
    assert sorted(image[1].strip() for image in images) == ["cached", "ran"]


def test_a_machine_that_grants_nothing_builds_what_is_all_cached(kit: Bench) -> None:
    first = works(kit, _STEPS)
    again = works(kit, _STEPS, machine=refusing_machine)
    assert again.image == first.image
    assert set(again.steps.values()) == {"cached"}
    assert works(kit, f"{_STEPS}ENV A=1\n", machine=refusing_machine).image != first.image
    refused = kit.build(f"{_STEPS}RUN true\n", machine=refusing_machine)
    assert refused.error == "this machine refuses a user namespace (ask `ocibuild doctor`)"


def test_a_machine_is_entered_once_for_each_process() -> None:
    machine = refusing_machine()
    assert machine.identity is None
    with pytest.raises(Exception, match="refuses a user namespace"):
        machine.executor()
    machine.close()
    assert isinstance(machine, Machine)
