"""What real builds say of steps that are not cached."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from ocibuild.store import Kind, Pruning, Store
from tests.unit.solver.bench import SHELL, Bench, Built
from tests.unit.solver.test_cache import works

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def kit(bench: Bench) -> Bench:
    bench.add_shell()
    bench.write("app/main.py", "main")
    bench.write("app/other.py", "other")
    return bench


def why(result: Built, part: str) -> str:
    note = result.noted(part)[0]  # there may be one more of what became of it
    assert note.startswith("not cached: ")
    return note.removeprefix("not cached: ")


RUN = "RUN echo x > /x\n"
DOCKERFILES = {
    "command": (RUN, "RUN echo y > /x\n", "RUN", "command: echo x > /x to echo y > /x"),
    "variable": (f"ENV VERSION=1.2\n{RUN}", f"ENV VERSION=1.3\n{RUN}", "RUN", "ENV VERSION: 1.2 to 1.3"),
    "argument": (f"ARG VERSION=1.2\n{RUN}", f"ARG VERSION=1.3\n{RUN}", "RUN", "ENV VERSION: 1.2 to 1.3"),
    "user": ("USER 1\nRUN true\n", "USER 2\nRUN true\n", "RUN", "user: 1 to 2"),
    "shell": (
        "RUN true\n",
        'SHELL ["/bin/busybox", "ash", "-c"]\nRUN true\n',
        "RUN",
        "shell: /bin/busybox sh -c to /bin/busybox ash -c",
    ),
    "parent": (f"RUN echo 1 > /1\n{RUN}", f"RUN echo 2 > /1\n{RUN}", "echo x", "parent: [2/3] ran again"),
    "two edits": (
        "RUN echo 1 > /1\nRUN echo a > /a\n",
        "RUN echo 2 > /1\nRUN echo b > /a\n",
        "> /a",
        "command: echo a > /a to echo b > /a; parent: [2/3] ran again",
    ),
    "one before": (RUN, f"RUN echo 1 > /1\n{RUN}", "echo x", "parent: [2/3] ran again"),
    "destination": ("COPY app /a\n", "COPY app /b\n", "COPY app", "destination: /a to /b"),
    "owner": ("COPY app /a\n", "COPY --chown=5 app /a\n", "COPY --chown", "--chown: none to 5"),
    "directory": ("WORKDIR /a\n", "WORKDIR /b\n", "WORKDIR", "directory: /a to /b"),
    "mount": (
        "RUN --mount=type=tmpfs,target=/a true\n",
        "RUN --mount=type=tmpfs,target=/b true\n",
        "RUN",
        "mount /a: removed; mount /b: added",
    ),
    "document": ("COPY <<A /a\n1\nA\n", "COPY <<A /a\n2\nA\n", "COPY <<A", "document: changed"),
}


@pytest.mark.parametrize(("before", "after", "step", "line"), DOCKERFILES.values(), ids=DOCKERFILES.keys())
def test_a_change_of_the_dockerfile_is_told(kit: Bench, before: str, after: str, step: str, line: str) -> None:
    first = works(kit, SHELL + before)
    assert {note for notes in first.notes.values() for note in notes} == {"not cached: never built before"}
    result = works(kit, SHELL + after)
    assert why(result, step) == line
    again = works(kit, SHELL + after)
    assert again.notes == {}


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda app: (app / "main.py").write_text("new"), "app/main.py changed"),
    "added": (lambda app: (app / "new.py").touch(), "app/new.py added"),
    "removed": (lambda app: (app / "main.py").unlink(), "app/main.py removed"),
    "mode": (lambda app: (app / "main.py").chmod(0o600), "app/main.py mode changed"),
    "link": (
        lambda app: os.symlink("main.py", (app / "other.py").rename(app / "x").with_name("other.py")),
        "app/other.py changed, app/x added",
    ),
    "many": (
        lambda app: [(app / f"{number:02}").write_text("") for number in range(15)],
        "app/00 added, app/01 added, app/02 added and 12 more",
    ),
}


@pytest.mark.parametrize(("change", "line"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("instruction", ["COPY", "ADD"])
def test_a_change_of_the_context_is_told(
    kit: Bench, instruction: str, change: Callable[[Path], object], line: str
) -> None:
    works(kit, f"{SHELL}{instruction} app/ /srv/\nRUN true\n")
    change(kit.context / "app")
    result = works(kit, f"{SHELL}{instruction} app/ /srv/\nRUN true\n")
    assert why(result, f"{instruction} app/") == f"{instruction} app: {line}"
    assert why(result, "RUN true") == "parent: [2/3] ran again"


def test_a_file_that_is_mounted_is_told_of(kit: Bench) -> None:
    dockerfile = f"{SHELL}RUN --mount=type=bind,target=/src,source=app cat /src/main.py > /x\n"
    works(kit, dockerfile)
    kit.write("app/main.py", "changed")
    result = works(kit, dockerfile)
    assert why(result, "load build context") == "app: app/main.py changed"
    assert why(result, "RUN") == "mount /src: app: app/main.py changed"


SAME_PLACE = """\
FROM scratch AS s1
COPY a /src/
FROM scratch AS s2
COPY b /src/
FROM scratch
COPY --from=s1 /src /o1
COPY --from=s2 /src /o2
"""


def test_of_two_steps_that_differ_in_their_files_alone_each_is_held_against_itself(kit: Bench) -> None:
    kit.write("a/x", "1")
    kit.write("b/y", "1")
    first = works(kit, SAME_PLACE)
    assert {why(first, part) for part in ("s1 ", "s2 ", "o1", "o2")} == {"never built before"}
    works(kit, SAME_PLACE)
    kit.write("a/x", "2")
    result = works(kit, SAME_PLACE)
    assert why(result, "COPY a ") == "COPY a: a/x changed"
    mounts = "RUN --mount=source=a,target=/a cat /a/x\nRUN --mount=source=b,target=/b cat /b/y\n"
    works(kit, SHELL + mounts)
    kit.write("b/y", "2")
    assert why(works(kit, SHELL + mounts), "cat /b/y") == "mount /b: b: b/y changed"


def test_a_step_that_is_like_no_other_was_never_built_before(kit: Bench) -> None:
    """Neither like one of the same build nor like one of another Dockerfile on the same base."""
    result = works(kit, f"{SHELL}RUN echo a > /o\nRUN cat /o > /p\n")
    assert {why(result, part) for part in ("echo a", "cat /o")} == {"never built before"}
    result = works(kit, f"{SHELL}COPY app /app\nRUN --network=none mkdir /x\n")
    assert why(result, "mkdir") == "never built before"


def test_another_order_alone_is_told(kit: Bench) -> None:
    for environment in ("P=1 Q=2", "P=1 Q=3"):
        works(kit, f"{SHELL}ENV {environment}\nRUN true\n")
    assert why(works(kit, f"{SHELL}ENV Q=2 P=1\nRUN true\n"), "RUN") == "ENV: another order"


STAGES = """\
FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
FROM base AS builder
RUN echo {0} > /out
FROM base
COPY --from=builder /out /out
RUN true
"""


def test_a_change_of_a_stage_is_told(kit: Bench) -> None:
    works(kit, STAGES.format("x"))
    result = works(kit, STAGES.format("y"))
    assert why(result, "COPY --from") == "[builder 1/1]: files changed"
    assert why(result, "RUN true") == "parent: [stage-2 1/2] ran again"


def test_secrets_and_proxies_are_nowhere(kit: Bench, tmp_path: Path) -> None:
    """Neither in what is told nor in what is kept of a step, however they change."""
    from ocibuild.build import parse_secret

    (tmp_path / "secret").write_text("TOPSECRET")
    dockerfile = f"{SHELL}ARG VERSION\nRUN --mount=type=secret,id=a,env=A echo {{0}} $VERSION $http_proxy $A\n"
    secrets = (parse_secret(f"id=a,src={tmp_path / 'secret'}"),)
    works(kit, dockerfile.format(1), build_args={"VERSION": "1", "http_proxy": "TOPSECRET"}, secrets=secrets)
    arguments = {"VERSION": "2", "http_proxy": "TOPSECRET2"}
    result = works(kit, dockerfile.format(2), build_args=arguments, secrets=secrets)
    command = "echo {} $VERSION $http_proxy $A"
    assert why(result, "RUN") == f"command: {command.format(1)} to {command.format(2)}; ENV VERSION: 1 to 2"
    with Store.open(str(kit.root)) as store:
        kept = store.records.inputs.of_snapshots(range(100))
        assert kept
        assert "TOPSECRET" not in str(kept)


def test_what_the_user_asked_for_is_told(kit: Bench) -> None:
    works(kit, SHELL + RUN)
    assert why(works(kit, SHELL + RUN, use_cache=False), "RUN") == "--no-cache"


def test_what_was_pruned_is_told(kit: Bench) -> None:
    works(kit, SHELL + RUN)
    with Store.open(str(kit.root)) as store:
        (item,) = [one for one in store.usage.items() if "RUN" in one.label]
        store.usage.prune(Pruning(everything=True, kinds=frozenset({Kind.STEP}), ids=frozenset({item.id})))
    assert why(works(kit, SHELL + RUN), "RUN") == "its result was pruned"


def test_of_several_steps_of_before_the_most_alike_and_last_used_is_told_of(kit: Bench) -> None:
    for value, name in (("1", "a"), ("1", "b"), ("2", "c"), ("3", "d")):
        works(kit, f"{SHELL}ENV A={value}\nRUN touch /{name}\n")
    assert why(works(kit, f"{SHELL}ENV A=1\nRUN touch /c\n"), "RUN") == "ENV A: 2 to 1"
    works(kit, f"{SHELL}ENV A=1\nRUN touch /a\n")
    assert why(works(kit, f"{SHELL}ENV A=1\nRUN touch /new\n"), "RUN") == "command: touch /a to touch /new"


def test_records_of_a_store_from_before_explain_nothing_and_break_nothing(kit: Bench) -> None:
    works(kit, SHELL + RUN)
    with sqlite3.connect(kit.root / "ocibuild.db") as database:
        for table in ("places", "listed", "listings", "inputs", "pruned"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version = 4")
    database.close()
    assert works(kit, SHELL + RUN).notes == {}
    assert why(works(kit, f"{SHELL}RUN echo y > /x\n"), "RUN") == "never built before"


# -- steps that change the same as before


CUT = f"{SHELL}{{0}}\nRUN cat /x > /y\nRUN echo done > /z\n"
KEPT = "it changed the same as before, and that result is kept"
SAME = {
    "comment": ("RUN echo x > /x", "RUN echo x > /x # for real"),
    "other way": ("RUN echo x > /x", "RUN cp /bin/busybox /b; rm /b; printf 'x\\n' > /x"),
    "environment": ("ENV A=1\nRUN echo x > /x\nENV A=0", "ENV A=2\nRUN echo x > /x\nENV A=0"),
    "owner by another name": ("RUN echo x > /x; chown 5:6 /x", "RUN echo x > /x && chown 5:6 /x"),
    "links": ("RUN echo x > /x; ln -s /x /l; ln /x /x2", "RUN ln -s /x /l; echo x > /x && ln /x /x2"),
    "removal": ("RUN echo x > /x; rm -r /gone", "RUN rm -rf /gone; echo x > /x"),
    "the same time": (
        "RUN echo x > /x; touch -d '2020-01-01 10:00:00' /x",
        "RUN echo x > /x && touch -d '2020-01-01 10:00:00' /x",
    ),
    "mode of a copy": ("COPY --chmod=644 app/main.py /x", "COPY --chmod=u=rw,go=r app/main.py /x"),
    "directory": ("WORKDIR /d\nWORKDIR /\nRUN echo x > /x", "RUN mkdir /d\nRUN echo x > /x"),
}


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME.keys())
def test_a_step_that_changes_the_same_as_before_does_not_run_what_follows(kit: Bench, before: str, after: str) -> None:
    more = "COPY app /gone\n" if "gone" in before else ""
    first = works(kit, CUT.format(more + before))
    again = works(kit, CUT.format(more + after))
    if before.startswith("WORKDIR"):  # steps of two kinds are not held against each other
        assert again.did("cat /x") == "ran"
        return
    changed = next(iter(again.notes))
    assert again.noted(changed)[-1] == KEPT
    assert again.steps[changed] == "ran"
    assert (again.did("cat /x"), again.did("done")) == ("cached", "cached")
    assert again.layers == first.layers
    assert set(works(kit, CUT.format(more + after)).steps.values()) == {"cached"}


DIFFERENT = {
    "bytes": ("RUN echo x > /x", "RUN echo y > /x"),
    "mode": ("RUN echo x > /x", "RUN echo x > /x; chmod 600 /x"),
    "owner": ("RUN echo x > /x", "RUN echo x > /x; chown 5 /x"),
    "one more": ("RUN echo x > /x", "RUN echo x > /x; touch /zz"),
    "a time that is set": ("RUN echo x > /x; touch -d 2020-01-01 /x", "RUN echo x > /x; touch -d 2021-01-01 /x"),
    "attribute of a directory": ("RUN echo x > /x; mkdir /d", "RUN echo x > /x; mkdir -m 700 /d"),
}


@pytest.mark.parametrize(("before", "after"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_step_that_changes_something_else_runs_what_follows(kit: Bench, before: str, after: str) -> None:
    works(kit, CUT.format(before))
    again = works(kit, CUT.format(after))
    assert [again.did(part) for part in ("cat /x", "done")] == ["ran", "ran"]
    assert KEPT not in str(again.notes)


def test_a_step_whose_parent_ran_again_is_held_against_before_too(kit: Bench) -> None:
    """The third step has another parent; what it did is the same, but in another tree, so nothing is taken over."""
    works(kit, CUT.format("RUN echo x > /x"))
    again = works(kit, CUT.format("RUN echo y > /x"))
    assert again.did("done") == "ran"
    back = works(kit, CUT.format("RUN echo x > /x # back"))
    assert [back.did(part) for part in ("back", "cat /x", "done")] == ["ran", "cached", "cached"]


def test_without_the_cache_nothing_is_taken_over(kit: Bench) -> None:
    first = works(kit, CUT.format("RUN echo x > /x"))
    anew = works(kit, CUT.format("RUN echo x > /x"), use_cache=False)
    assert set(anew.steps.values()) == {"ran"}
    assert KEPT not in str(anew.notes)
    assert anew.image != first.image


def test_a_linked_copy_is_held_against_one_of_the_same_files(kit: Bench) -> None:
    works(kit, f"{SHELL}COPY --link app /a\nRUN true\n")
    kit.write("app/main.py", "new")
    again = works(kit, f"{SHELL}COPY --link app /a\nRUN true\n")
    assert again.did("COPY --link") == "ran"
    assert again.did("RUN") == "ran"
    assert again.tree["a/main.py"].endswith("new")


def test_the_result_of_before_is_not_packed_again_and_the_new_one_is_gone(kit: Bench) -> None:
    works(kit, CUT.format("RUN echo x > /x"))
    blobs = set((kit.root / "blobs/sha256").iterdir())
    snapshots = set((kit.root / "snapshots").iterdir())
    for file in (kit.root / "snapshots").glob("*/fs/[xyz]"):
        second_before = file.stat().st_mtime - 1
        os.utime(file, (second_before, second_before))  # packed again, it would be another layer
    works(kit, CUT.format("RUN echo x > /x # again"))
    assert set((kit.root / "snapshots").iterdir()) == snapshots
    new = set((kit.root / "blobs/sha256").iterdir()) - blobs
    assert len(new) == 2, "a config and a manifest, as the history has the command"


def test_a_result_of_before_that_is_gone_is_no_use(kit: Bench) -> None:
    first = works(kit, CUT.format("RUN echo x > /x"))
    with sqlite3.connect(kit.root / "ocibuild.db") as database:
        database.execute("PRAGMA foreign_keys = ON")
        ((number,),) = database.execute("SELECT snapshot FROM records WHERE label LIKE '%echo x%' LIMIT 1")
        database.execute("DELETE FROM snapshots WHERE id = ?", (number,))
    database.close()
    shutil.rmtree(kit.root / "snapshots" / str(number))
    again = works(kit, CUT.format("RUN echo x > /x # again"))
    assert again.did("cat /x") == "ran"
    assert again.tree == first.tree


def test_the_tree_of_a_copying_build_is_right_after_a_step_was_taken_over(kit: Bench) -> None:
    from ocibuild.executor import Forced

    forced = Forced(snapshotter="copy")
    more = "RUN cat /x /y > /new; echo more >> /x\n"
    works(kit, CUT.format("RUN echo x > /x"), forced=forced)
    again = works(kit, CUT.format("RUN echo x > /x # again") + more, forced=forced)
    assert [again.did(part) for part in ("again", "cat /x >", "done", "more")] == ["ran", "cached", "cached", "ran"]
    assert again.tree["x"] == "-0644 0:0 x\nmore\n"
    assert again.tree["new"] == "-0644 0:0 x\nx\n"
