"""Dockerfiles as people write them for Go, Node, Python and Java: built, run, changed, and held against docker's."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.remove import remove
from ocibuild.oci import Platform
from tests.differential.answers import Setting, answer_of_image, differences
from tests.differential.cases import Case
from tests.differential.engine import docker_root, engine
from tests.differential.reports import read_report
from tests.support.peers import free_port
from tests.support.program import PROGRAMS, Built
from tests.support.rootless import CHECKOUT
from tests.support.trees import read_archive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.differential.answers import Answer
    from tests.differential.engine import Engine
    from tests.support.program import Program
    from tests.support.trees import Image

_SECOND = 1_000_000_000  # the unit of a health check's times
_BUILD_SECONDS = 300
_START_SECONDS = 30
_STEP = re.compile(r"\[(\S+) +\d+/\d+\] (\w+)")
_SYNTAX = "# syntax=docker/dockerfile:1\n"


@dataclass(frozen=True, slots=True)
class Change:
    """An edit of a source file, and what runs again for it: the stage and the beginning of each step."""

    path: str
    old: str
    new: str
    ran: tuple[str, ...]
    printed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """A folder of testdata. ``user`` says who builds it, ``caches`` where its steps have caches mounted.

    ``answer`` is what a POST of "one two one" to /de gives, ``printed`` what steps print, among other lines.
    """

    name: str
    user: str
    config: dict[str, Any]
    answer: dict[str, Any]
    caches: tuple[str, ...]
    change: Change
    arguments: dict[str, str]
    printed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.user}"


_ARCH = Platform.host().architecture
_APT = ("var/cache/apt", "var/lib/apt")
_TITLE, _VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"
_BOOKS = [
    {"title": "Frankenstein", "author": "Mary Shelley", "year": 1818},
    {"title": "Middlemarch", "author": "George Eliot", "year": 1871},
    {"title": "Orlando", "author": "Virginia Woolf", "year": 1928},
]
GO = App(
    name="go",
    user="rootless",
    arguments={"VERSION": "1.2.3"},
    config={
        "User": "library",
        "Cmd": ["serve"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {_TITLE: "library", _VERSION: "1.2.3"},
        "Healthcheck": {
            "Test": ["CMD", "/usr/local/bin/library", "check"],
            "Interval": 30 * _SECOND,
            "Timeout": 3 * _SECOND,
            "StartPeriod": 5 * _SECOND,
            "Retries": 3,
        },
    },
    answer={"version": "1.2.3", "arch": _ARCH, "uid": 10001, "books": _BOOKS},
    caches=(*_APT, "go/pkg/mod", "root/.cache"),
    # a linked COPY that also changes modes stands on what is below it
    change=Change("main.go", '"healthy"', '"well"', ("build RUN", "final COPY", "final COPY")),
)
NODE = App(
    name="node",
    user="root",
    arguments={"REVISION": "4a5b6c"},
    config={
        "User": "node",
        "Cmd": ["node", "dist/server.mjs"],
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "Labels": {_TITLE: "votes", "org.opencontainers.image.revision": "4a5b6c"},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "node dist/check.mjs || exit 1"],
            "Interval": 10 * _SECOND,
            "Timeout": 5 * _SECOND,
        },
    },
    answer={
        "question": "Tabs or spaces?",
        "data": "/data",
        "environment": "production",
        "uid": 1000,
        "votes": [["de", 1]],
    },
    caches=(*_APT, "root/.cache", "app/.cache"),
    printed=("without a token", "added tally 1.0.0", "src/server.mjs: bundled"),
    change=Change(
        "src/check.mjs", '"healthy"', '"well"', ("build COPY", "build RUN", "production COPY", "production COPY"),
        ("src/server.mjs: from the cache", "src/check.mjs: bundled"),
    ),
)  # fmt: skip
PYTHON = App(
    name="python",
    user="rootless",
    arguments={"VERSION": "v1.4.0"},
    config={
        "User": "wordcount:wordcount",
        "Entrypoint": ["python", "-m", "wordcount"],
        "Labels": {_TITLE: "wordcount", _VERSION: "1.4.0", "maintainer": "nobody@example.org"},
        "Healthcheck": {
            "Test": ["CMD", "python", "-m", "wordcount", "check"],
            "Interval": 60 * _SECOND,
            "Timeout": 10 * _SECOND,
            "StartInterval": 2 * _SECOND,
        },
    },
    answer={"version": "1.4.0", "uid": 10001, "words": {"one": 2, "two": 1}},
    caches=(*_APT, "root/.cache"),
    change=Change("wordcount/__main__.py", '"healthy"', '"well"', ("final COPY", "final COPY")),
)
JAVA = App(
    name="java",
    user="root",
    arguments={"VERSION": "3.0"},
    config={
        "User": "greeter",
        "Entrypoint": ["greeter"],
        "WorkingDir": "/opt/greeter",
        "Labels": {
            _TITLE: "greeter",
            "org.opencontainers.image.description": "Says hello in the language it is asked in",
        },
        "Healthcheck": {
            "Test": ["CMD", "greeter", "check"],
            "Interval": 15 * _SECOND,
            "Timeout": 10 * _SECOND,
            "StartPeriod": 20 * _SECOND,
            "Retries": 2,
        },
    },
    answer={"version": "3.0", "user": "greeter", "greeting": "Guten Tag"},
    caches=(*_APT, "root/.cache"),
    change=Change(
        "src/main/org/example/greeter/Main.java", '"healthy"', '"well"',
        ("classes RUN", "package COPY", "package RUN", "final COPY", "final COPY"),
    ),
)  # fmt: skip

# what is in these files depends on when they were made, and the log of the packages on how fast that was
_OF_THE_TIME = (
    "etc/shadow",
    "etc/ssl/certs/java/cacerts",
    f"usr/lib/jvm/java-17-openjdk-{_ARCH}/lib/server/classes.jsa",
    f"usr/lib/jvm/java-17-openjdk-{_ARCH}/lib/server/classes_nocoops.jsa",
    "var/cache/ldconfig/aux-cache",
    "var/log/alternatives.log",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/dpkg.log",
    "var/log/lastlog",
)


@dataclass(frozen=True, slots=True)
class World:
    """An app that was built: ``image`` and ``first`` are what came of it."""

    app: App
    program: Program
    context: Path
    words: tuple[str, ...]
    first: Built

    @property
    def archive(self) -> Path:
        return self.program.user.home / "app.tar"

    def build(self, *words: str) -> Built:
        """Build again."""
        return self.program.build(self.context, *self.words, *words)


@pytest.fixture(scope="module", params=[GO, NODE, PYTHON, JAVA], ids=str)
def world(request: pytest.FixtureRequest, debian_base: str) -> Iterator[World]:
    app: App = request.param
    with PROGRAMS[app.user]() as program:
        folder = CHECKOUT / "testdata" / app.name
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        context = program.context(app.name, files)
        words = [f"--build-arg={key}={value}" for key, value in {**app.arguments, "BASE": debian_base}.items()]
        output = ("-t", f"{app.name}:1", "-o", f"type=oci,dest={program.user.home}/app.tar")
        yield World(app, program, context, tuple(words), program.build(context, *words, *output))


@pytest.fixture(scope="module")
def image(world: World) -> Image:
    return read_archive(world.archive)


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    folder = Path("/tmp") / f"ocibuild-real-world-{free_port()}"
    folder.mkdir()
    try:
        with engine(docker_root(), folder) as running:
            yield running
    finally:
        remove(str(folder))


@pytest.fixture(scope="module")
def theirs(world: World, docker: Engine) -> Image:
    """What docker makes of it."""
    archive = world.program.user.home / "theirs.tar"
    _build_with_docker(docker, world, _without_syntax(world), f"--output=type=oci,dest={archive}")
    return read_archive(archive)


def test_the_program_serves_and_is_healthy(world: World) -> None:
    port = free_port()
    with _running(world, port):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/de", data=b"one two one", method="POST")
        with urllib.request.urlopen(request, timeout=_START_SECONDS) as response:
            assert json.load(response) == world.app.answer
        kind, *words = world.app.config["Healthcheck"]["Test"]
        command = words if kind == "CMD" else ["sh", "-c", *words]
        options = ("-e", f"PORT={port}", "--entrypoint", command[0])
        assert world.program.check("run", *options, f"{world.app.name}:1", *command[1:]) == "healthy\n"


def test_the_config_is_as_the_dockerfile_says(world: World, image: Image) -> None:
    config = image.config["config"]
    assert {key: config.get(key) for key in world.app.config} == world.app.config


def test_no_file_of_a_cache_is_in_the_image(world: World, image: Image) -> None:
    base = 0 if world.app is GO else 1  # its image is from scratch
    names = [name for layer in image.layers[base:] for name in layer]
    assert len(names) > 4
    assert not [name for name in names if name.startswith(tuple(f"{cache}/" for cache in world.app.caches))]


def test_only_what_the_target_needs_is_built(world: World) -> None:
    assert not [label for label in world.first.steps if label.startswith(("[test ", "[development "))]
    assert set(world.app.printed) <= set(world.first.output)


def test_built_again_all_is_cached(world: World) -> None:
    again = world.build()
    assert not again.ran()
    assert again.image_id == world.first.image_id


def test_a_change_runs_what_it_must(world: World) -> None:
    change = world.app.change
    with _changed(world.context, change):
        changed = world.build()
    assert changed.image_id != world.first.image_id
    assert _steps_that_ran(changed) == sorted(change.ran)
    assert set(change.printed) <= set(changed.output)
    assert world.build().image_id == world.first.image_id


@contextmanager
def _changed(context: Path, change: Change) -> Iterator[None]:
    path = context / change.path
    text = path.read_text()
    assert change.old in text
    path.write_text(text.replace(change.old, change.new))
    try:
        yield
    finally:
        path.write_text(text)


def _steps_that_ran(built: Built) -> list[str]:
    """Return ``build RUN`` for ``[build 1/2] RUN make`` and so on, sorted; docker says of a base that it is done."""
    return sorted(f"{step[1]} {step[2]}" for label in built.ran() if (step := _STEP.match(label)) and step[2] != "FROM")


def test_the_stage_of_the_tests_can_be_built(world: World) -> None:
    tested = world.build("--target", "test")
    assert tested.ran("[test ")


def test_check_says_what_docker_says(world: World, docker: Engine) -> None:
    ours = world.program.run("build", "--check", *world.words, world.context)
    assert (ours.stdout, ours.returncode) == ("Check complete, no warnings found.\n", 0)
    words = ("build", "--call=check,format=json", *world.words, ".")
    theirs = docker.buildx(*words, cwd=_without_syntax(world), environ={}, timeout=_BUILD_SECONDS)
    ours = world.program.run("build", "--check", "--format=json", *world.words, world.context)
    assert read_report("check", ours.stdout.encode(), ours.returncode) == read_report(
        "check", theirs.stdout, theirs.returncode
    )


def test_docker_gives_the_same_image(world: World, image: Image, theirs: Image) -> None:
    case = Case(world.app.name, "", {})
    assert not differences(case, _answer(case, theirs), _answer(case, image))


def test_docker_runs_the_same_again_for_a_change(world: World, theirs: Image, docker: Engine) -> None:
    context = _without_syntax(world)
    with _changed(context, world.app.change):
        built = _build_with_docker(docker, world, context)
    assert _steps_that_ran(built) == sorted(world.app.change.ran)


def _build_with_docker(docker: Engine, world: World, context: Path, *words: str) -> Built:
    command = ("build", "--progress=plain", "--provenance=false", "--network=host", *words, *world.words, ".")
    done = docker.buildx(*command, cwd=context, environ={}, timeout=_BUILD_SECONDS)
    assert done.returncode == 0, done.stderr.decode()
    return Built(done.returncode, done.stdout.decode(), done.stderr.decode())


def _answer(case: Case, image: Image) -> Answer:
    tree = {name: node for name, node in image.tree.items() if name not in _OF_THE_TIME}
    return answer_of_image(case, replace(image, tree=tree), "", Setting({}, {}))


def _without_syntax(world: World) -> Path:
    """Return the context again, its Dockerfile without the line for which docker would fetch another frontend."""
    folder = world.program.user.home / f"{world.app.name}-for-docker"
    if not folder.exists():
        shutil.copytree(world.context, folder)
        text = (folder / "Dockerfile").read_text()
        assert text.startswith(_SYNTAX)
        # another directive, so that those after it still are some
        (folder / "Dockerfile").write_text(text.replace(_SYNTAX, "# escape=\\\n", 1))
    return folder


@contextmanager
def _running(world: World, port: int) -> Iterator[None]:
    """Run the image until it listens, and end it in the end."""
    process = world.program.start("run", "-e", f"PORT={port}", f"{world.app.name}:1")
    try:
        _wait_for(process, port)
        yield
    finally:
        _stop(process)


def _wait_for(process: subprocess.Popen[str], port: int) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"listening on 127.0.0.1:{port}\n"


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask twice: a first process may not listen to the first signal, the second kills it."""
    for _ in range(2):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
    process.communicate(timeout=_START_SECONDS)
