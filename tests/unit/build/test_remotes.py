from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.build.remotes import Remotes
from ocibuild.errors import SourceError
from ocibuild.graph import Copy, CopySource, Finished, GitReference, GitTree, HttpFile, Scratch, Started, Transferred
from ocibuild.oci import Digest
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.store import Store
from tests.support.web import Page, Repository, Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Event, Vertex


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serve_web(tmp_path / "repositories") as web:
        yield web


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def remotes(store: Store, events: list[Event]) -> Iterator[Remotes]:
    with Registry(RegistryConfig(), Credentials()) as registry:
        yield Remotes(store, lambda: registry, events.append)


def adding(*trees: Vertex) -> Vertex:
    return Copy(Scratch(), tuple(CopySource(tree, (".",)) for tree in trees), "/")


def repository(web: Web, **options: object) -> GitTree:
    return GitTree(GitReference(web.url("/git/app.git"), "main"), **options)  # type: ignore[arg-type]


def test_the_same_thing_is_looked_up_once_and_told_as_a_step(
    remotes: Remotes, web: Web, events: list[Event], tmp_path: Path
) -> None:
    Repository.make(tmp_path / "repositories/app.git").commit({"a": "a"})
    url = web.put("/f", b"one")
    files = [HttpFile(url, "a"), HttpFile(url, "b"), HttpFile(web.put("/g", b"two"), "a")]
    trees = [repository(web), repository(web, keep_git_dir=True)]
    remotes.look_up(adding(*files, *trees))
    assert remotes.steps == 3
    assert len(web.asked("/f")) == 1
    names = [*map(remotes.identify, files), *map(remotes.identify, trees)]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    begun = {event.step: event.label for event in events if isinstance(event, Started)}
    assert sorted(begun.values()) == sorted(
        f"[internal] look up {web.url(path)}" for path in ("/f", "/g", "/git/app.git")
    )
    assert {event.step for event in events if isinstance(event, Finished) and not event.error} == {1, 2, 3}
    assert any(isinstance(event, Transferred) and event.done == 3 for event in events)


def test_what_is_pinned_is_not_looked_up(remotes: Remotes, events: list[Event]) -> None:
    nowhere = "http://127.0.0.1:1/f"
    file = HttpFile(nowhere, "f", Digest.of(b"one"))
    remotes.look_up(adding(file))
    assert remotes.identify(file) == Digest.of(b"one")
    assert events == []


def test_an_error_waits_for_its_place(remotes: Remotes, web: Web, events: list[Event]) -> None:
    good, bad = HttpFile(web.put("/f", b"one"), "f"), HttpFile(web.url("/missing"), "f")
    remotes.look_up(adding(bad, good))
    remotes.identify(good)
    with pytest.raises(SourceError, match="/missing: 404 Not Found"):
        remotes.identify(bad)
    (error,) = [event.error for event in events if isinstance(event, Finished) and event.error]
    assert error.endswith("/missing: 404 Not Found")


def test_a_wrong_commit_is_refused(remotes: Remotes, web: Web, tmp_path: Path) -> None:
    commit = Repository.make(tmp_path / "repositories/app.git").commit({"a": "a"})
    right, wrong = repository(web, checksum=commit[:7]), repository(web, checksum="0123")
    remotes.look_up(adding(right, wrong))
    remotes.identify(right)
    with pytest.raises(SourceError, match=f"'main' is {commit}, not 0123"):
        remotes.identify(wrong)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"keep_git_dir": True}),
        ({}, {"reference": {"subdirectory": "sub"}}),
        ({}, {"reference": {"submodules": False}}),
    ],
    ids=["history", "directory", "submodules"],
)
def test_what_changes_the_files_changes_their_name(
    remotes: Remotes, web: Web, tmp_path: Path, first: dict[str, object], second: dict[str, object]
) -> None:
    Repository.make(tmp_path / "repositories/app.git").commit({"sub/a": "a"})
    names = []
    for options in (first, second):
        more = options.pop("reference", {})
        assert isinstance(more, dict)
        tree = GitTree(GitReference(web.url("/git/app.git"), "main", **more), **options)  # type: ignore[arg-type]
        remotes.look_up(tree)
        names.append(remotes.identify(tree))
    assert names[0] != names[1]


def test_files_are_brought(remotes: Remotes, store: Store, web: Web, tmp_path: Path) -> None:
    Repository.make(tmp_path / "repositories/app.git").commit({"a": "from git"})
    tree, file = repository(web), HttpFile(web.put("/f", b"one"), "f")
    pinned = HttpFile(web.put("/g", Page(b"two")), "g", Digest.of(b"two"))
    remotes.look_up(adding(tree, file, pinned))
    with store.snapshots.begin() as active:
        for vertex in (tree, file, pinned):
            remotes.bring(vertex, active, 9)
        upper = Path(active.upper)
        assert {path.name: path.read_text() for path in upper.iterdir()} == {"a": "from git", "f": "one", "g": "two"}
