"""What is said of two steps that differ: a table."""

from __future__ import annotations

from typing import Any

import pytest

from ocibuild.solver.explain import ONE, Surroundings, Taken, changed_files, distance, explain

RUN: dict[str, Any] = {
    "kind": "run",
    "parent": "sha256:p1",
    "command": ["/bin/sh", "-c", "make"],
    "environment": ["PATH=/bin", "VERSION=1.2"],
    "user": "",
    "directory": "/w",
    "hostname": "buildkitsandbox",
    "network": "default",
    "security": "sandbox",
    "mounts": [],
}
COPY: dict[str, Any] = {
    "kind": "copy",
    "parent": "sha256:p1",
    "sources": [{"context": "one"}],
    "destination": "/srv/",
    "owner": None,
    "mode": None,
}
STAGE = COPY | {"sources": [{"tree": "sha256:t1", "paths": ["out"]}]}
DIRECTORY = {"kind": "directory", "base": "sha256:b1", "path": "/w"}
MOUNTED = RUN | {"mounts": [{"type": "bind", "target": "/src", "tree": "sha256:t1", "path": "/"}]}
GIT = {"kind": "git", "content": '["1234567890abcdef",["",true],[]]'}
LISTINGS = {
    "one": {"app": "40000 0 0 755 x", "app/main.py": "100000 0 0 644 a", "app/old.py": "100000 0 0 644 b"},
    "two": {"app": "40000 0 0 755 x", "app/main.py": "100000 0 0 644 c", "app/new.py": "100000 0 0 644 b"},
    "mode": {"app": "40000 0 0 755 x", "app/main.py": "100000 0 0 755 a", "app/old.py": "100000 0 0 644 b"},
    "many": {f"app/{number:02}": "100000 0 0 644 a" for number in range(18)},
    "none": {},
}
AROUND = Surroundings(Taken("[builder 3/5]", "ran again"), (Taken("COPY app/"), Taken("document")), files=LISTINGS.get)
FROM = Surroundings(Taken("[builder 3/5]", "ran again"), (Taken("[builder 4/4]", "runs again"),))
ON_IMAGE = Surroundings(Taken("debian:12"))
LONG = "apt-get update && apt-get install --no-install-recommends --yes build-essential curl"

TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], Surroundings, str]] = {
    "nothing": (RUN, {}, AROUND, ""),
    "command": (RUN, {"command": ["/bin/sh", "-c", "make all"]}, AROUND, "command: make to make all"),
    "exec form": (RUN, {"command": ["make", "a b"]}, AROUND, "command: make to make 'a b'"),
    "lines": (RUN, {"command": ["/bin/sh", "-c", "make\n  all"]}, AROUND, "command: make to make all"),
    "other password": (
        RUN | {"command": ["curl", "https://me:old@host.example/"]},
        {"command": ["curl", "https://me:new@host.example/"]},
        AROUND,
        "command: changed",
    ),
    "shell": (RUN, {"command": ["/bin/bash", "-e", "-c", "make"]}, AROUND, "shell: /bin/sh -c to /bin/bash -e -c"),
    "long command": (
        RUN | {"command": ["/bin/sh", "-c", LONG]},
        {"command": ["/bin/sh", "-c", LONG.replace("curl", "wget " + "x" * 100)]},
        AROUND,
        f"command: …yes build-essential curl to …yes build-essential wget {'x' * 33}…",
    ),
    "password": (
        RUN,
        {"command": ["/bin/sh", "-c", "curl https://me:secret@host.example/"]},
        AROUND,
        "command: make to curl https://…@host.example/",
    ),
    "variable": (RUN, {"environment": ["PATH=/bin", "VERSION=1.3"]}, AROUND, "ENV VERSION: 1.2 to 1.3"),
    "variable added": (RUN, {"environment": [*RUN["environment"], "A=b=c"]}, AROUND, "ENV A: added, b=c"),
    "variable removed": (RUN, {"environment": ["PATH=/bin"]}, AROUND, "ENV VERSION: removed"),
    "variables in order": (RUN, {"environment": RUN["environment"][::-1]}, AROUND, "ENV: another order"),
    "long value": (
        RUN,
        {"environment": ["PATH=/bin", f"VERSION={'y' * 500}"]},
        AROUND,
        f"ENV VERSION: 1.2 to {'y' * 59}…",
    ),
    "many variables": (
        RUN,
        {"environment": ["A=1", "B=2", "C=3", "PATH=/bin", "VERSION=1.2", "D=4", "E=5"]},
        AROUND,
        "ENV A: added, 1; ENV B: added, 2; ENV C: added, 3 and 2 more reasons",
    ),
    "user": (RUN, {"user": "app"}, AROUND, "user: none to app"),
    "directory": (RUN, {"directory": "/x"}, AROUND, "working directory: /w to /x"),
    "network": (RUN, {"network": "none"}, AROUND, "network: default to none"),
    "limits": (RUN, {"ulimits": [["nofile", 1, 2]]}, AROUND, "--ulimit: none to nofile 1 2"),
    "hosts": (RUN | {"hosts": ["db"]}, {"hosts": ["db", "web"]}, AROUND, "--add-host: db to db web"),
    "parent": (RUN, {"parent": "sha256:p2"}, AROUND, "parent: [builder 3/5] ran again"),
    "own inputs first": (
        RUN,
        {"parent": "sha256:p2", "user": "app"},
        AROUND,
        "user: none to app; parent: [builder 3/5] ran again",
    ),
    "base": (DIRECTORY, {"base": "sha256:b2"}, ON_IMAGE, "base image: debian:12 changed"),
    "step above gone": (
        {"kind": "directory", "parent": "sha256:p1", "path": "/w"},
        {"parent": None, "base": "sha256:b2"},
        ON_IMAGE,
        "parent: no step any more",
    ),
    "mount": (MOUNTED, {"mounts": [MOUNTED["mounts"][0] | {"tree": "sha256:t2"}]}, AROUND, "mount /src: changed"),
    "mount added": (RUN, {"mounts": MOUNTED["mounts"]}, AROUND, "mount /src: added"),
    "mount removed": (MOUNTED, {"mounts": []}, AROUND, "mount /src: removed"),
    "files": (
        COPY,
        {"sources": [{"context": "two"}]},
        AROUND,
        "COPY app/: app/main.py changed, app/new.py added, app/old.py removed",
    ),
    "mode of a file": (COPY, {"sources": [{"context": "mode"}]}, AROUND, "COPY app/: app/main.py mode changed"),
    "many files": (
        COPY | {"sources": [{"context": "none"}]},
        {"sources": [{"context": "many"}]},
        AROUND,
        "COPY app/: app/00 added, app/01 added, app/02 added and 15 more",
    ),
    "files without a listing": (COPY, {"sources": [{"context": "unknown"}]}, AROUND, "COPY app/: files changed"),
    "unpacked": (
        COPY,
        {"sources": [{"context": "one", "unpack": True}]},
        AROUND,
        "COPY app/: archives are unpacked now",
    ),
    "more sources": (COPY, {"sources": [{"context": "one"}, {"tree": "t", "paths": []}]}, AROUND, "sources: 1 to 2"),
    "destination": (COPY, {"destination": "/x"}, AROUND, "destination: /srv/ to /x"),
    "owner": (COPY, {"owner": "app"}, AROUND, "--chown: none to app"),
    "stage": (STAGE, {"sources": [{"tree": "sha256:t2", "paths": ["out"]}]}, FROM, "[builder 4/4]: runs again"),
    "stage's files": (
        STAGE | {"sources": [{"content": "1"}]},
        {"sources": [{"content": "2"}]},
        FROM,
        "[builder 4/4]: files changed",
    ),
    "paths in a stage": (
        STAGE,
        {"sources": [{"tree": "sha256:t1", "paths": ["in"]}]},
        FROM,
        "[builder 4/4]: out to in",
    ),
    "commit": (GIT, {"content": '["fedcba0987654321",["",true],[]]'}, AROUND, "commit: 1234567890ab to fedcba098765"),
    "URL": (
        {"kind": "http", "name": "a", "content": "1"},
        {"content": "2"},
        AROUND,
        "what the URL gives changed",
    ),
    "document": ({"kind": "inline", "files": [1]}, {"files": [2]}, AROUND, "its text changed"),
}


@pytest.mark.parametrize(("old", "change", "around", "line"), TABLE.values(), ids=TABLE.keys())
def test_what_differs_is_said_in_one_line(
    old: dict[str, Any], change: dict[str, Any], around: Surroundings, line: str
) -> None:
    new = {name: value for name, value in (old | change).items() if value is not None or name in ("owner", "mode")}
    assert explain(old, new, around) == line


def test_what_is_in_a_folder_that_came_or_went_is_not_told_of() -> None:
    old = {"a": "40000 0 0 755 x", "a/b": "100000 0 0 644 a", "c": "100000 0 0 644 a"}
    new = {"c": "120000 0 0 777 a", "d": "40000 0 0 755 x", "d/e": "40000 0 0 755 x", "d/e/f": "100000 0 0 644 a"}
    assert changed_files(old, new) == ["a removed", "c changed", "d added"]


def test_the_distance_counts_each_variable_source_and_mount_and_another_order_less() -> None:
    assert distance(RUN, RUN) == 0
    assert distance(RUN, RUN | {"user": "app"}) == ONE
    assert distance(RUN, RUN | {"environment": ["PATH=/", "VERSION=2", "A=1"]}) == 3 * ONE
    assert distance(RUN, RUN | {"environment": RUN["environment"][::-1], "parent": "x"}) == ONE + 1
    assert distance(RUN, RUN | {"environment": RUN["environment"][::-1], "parent": "x"}, trees=False) == 1
    assert distance(COPY, COPY | {"sources": [{"context": "two"}, {"context": "none"}]}) == ONE
    two = COPY | {"sources": [{"context": "one"}, {"context": "two"}]}
    assert distance(two, COPY | {"sources": [{"context": "mode"}, {"context": "none"}]}) == 2 * ONE
    moved = [MOUNTED["mounts"][0] | {"target": "/other"}]
    assert distance(MOUNTED, MOUNTED | {"mounts": moved}) == 2 * ONE
