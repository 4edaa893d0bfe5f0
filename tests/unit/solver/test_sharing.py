"""What a COPY takes from the snapshot of one of before by hard link, and that nobody can tell from its layer."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from demo.remove import remove
from ocibuild.executor import Forced
from ocibuild.machine import Machine
from ocibuild.store import Store
from tests.unit.solver.bench import SHELL, Bench, Built
from tests.unit.solver.test_cache import works

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_COPY = "FROM scratch\nCOPY src /dst\n"
_ALL = {"a", "b", "sub/c", "sub/deep/d"}
_LATER = 1_600_000_000


@pytest.fixture
def kit(bench: Bench) -> Bench:
    """A directory to copy; every file is one byte, and none has a time of its own."""
    for name in _ALL:
        bench.write(f"src/{name}", name[-1])
    (bench.context / "src/link").symlink_to("a")
    _settle(bench)
    return bench


def _settle(bench: Bench) -> None:
    """Give the directories that are copied a time: layers can be compared then."""
    for folder, _, _ in os.walk(bench.context):
        os.utime(folder, (1_500_000_000, 1_500_000_000))


def snapshots_with(bench: Bench, top: str) -> list[Path]:
    """Return this directory in each snapshot that has it, those made last at the end."""
    found = [path for path in bench.root.glob(f"snapshots/*/fs/{top}") if path.is_dir()]
    return sorted(found, key=lambda path: int(path.relative_to(bench.root / "snapshots").parts[0]))


def files_of(top: Path) -> dict[str, os.stat_result]:
    found = ((str(path.relative_to(top)), path.lstat()) for path in top.rglob("*"))
    return {name: status for name, status in found if stat.S_ISREG(status.st_mode)}


def shared(bench: Bench, top: str = "dst") -> set[str]:
    """Return the names of the files that the last snapshot with this directory has in common with earlier ones."""
    *earlier, last = [files_of(path) for path in snapshots_with(bench, top)]
    before = {(name, status.st_ino) for files in earlier for name, status in files.items()}
    return {name for name, status in last.items() if (name, status.st_ino) in before}


def build(bench: Bench, text: str, **request: Any) -> Built:
    _settle(bench)
    return works(bench, text, **request)


def built_again(bench: Bench, text: str, **request: Any) -> Built:
    """Build again, and hold the result against that of a store which has seen nothing."""
    result = build(bench, text, **request)
    root, bench.root = bench.root, bench.root.with_name("other-store")
    try:
        alone = works(bench, text, use_cache=False)
    finally:
        remove(str(bench.root))
        bench.root = root
    assert (result.tree, result.times) == (alone.tree, alone.times)
    assert result.layers == alone.layers
    return result


# -- which files


def _on(name: str, work: Callable[[Path], object]) -> Callable[[Bench], object]:
    return lambda bench: work(bench.context / name)


def _replace_by_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("a")


def _replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "a").write_text("a")


def _replace_by_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, tuple[Callable[[Bench], object], set[str]]] = {
    "other bytes, of the same size and time": (lambda bench: bench.write("src/a", "A"), _ALL - {"a"}),
    "a byte more": (lambda bench: bench.write("src/sub/c", "cc"), _ALL - {"sub/c"}),
    "touched, and another changed": (
        lambda bench: (bench.write("src/a", "a", seconds=_LATER), bench.write("src/b", "B")),
        _ALL - {"a", "b"},
    ),
    "mode": (_on("src/a", lambda path: path.chmod(0o600)), _ALL - {"a"}),
    "added": (lambda bench: bench.write("src/sub/new", "n"), _ALL),
    "removed": (_on("src/sub/c", os.remove), _ALL - {"sub/c"}),
    "moved": (lambda bench: os.rename(bench.context / "src/a", bench.context / "src/sub/a"), _ALL - {"a"}),
    "bytes swapped": (lambda bench: (bench.write("src/a", "b"), bench.write("src/b", "a")), _ALL - {"a", "b"}),
    "a second name": (
        lambda bench: os.link(bench.context / "src/a", bench.context / "src/sub/a"),
        _ALL - {"a"},
    ),
    "a link in its place": (_on("src/b", _replace_by_a_link), _ALL - {"b"}),
    "a directory in its place": (_on("src/b", _replace_by_a_directory), _ALL - {"b"}),
    "mode of a directory": (_on("src/sub", lambda path: path.chmod(0o700)), _ALL),
    "a FIFO in its place": (_on("src/a", _replace_by_a_fifo), _ALL - {"a"}),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_unchanged_files_are_shared_and_no_others(
    kit: Bench, change: Callable[[Bench], object], expected: set[str]
) -> None:
    build(kit, _COPY)
    change(kit)
    result = built_again(kit, _COPY)
    assert result.did("COPY") == "ran"
    assert shared(kit) == expected


def test_a_file_that_had_two_names_is_shared_under_the_first(kit: Bench) -> None:
    os.link(kit.context / "src/a", kit.context / "src/second")
    build(kit, _COPY)
    (kit.context / "src/second").unlink()
    kit.write("src/second", "a")
    built_again(kit, _COPY)
    assert shared(kit) == _ALL


def test_what_is_shared_may_be_shared_again(kit: Bench) -> None:
    build(kit, _COPY)
    for content in "123":
        kit.write("src/a", content)
        built_again(kit, _COPY)
    (inode,) = {files_of(top)["b"].st_ino for top in snapshots_with(kit, "dst")}
    assert inode
    assert len({files_of(top)["a"].st_ino for top in snapshots_with(kit, "dst")}) == 4


# -- which steps

_NONE: set[str] = set()
_BASE = "FROM scratch AS base\nCOPY base /\n"
_OWNED = "FROM base\nCOPY --chown=app src /dst\n"
_TWO_STAGES = f"{_COPY.replace('scratch', 'scratch AS one')}FROM scratch\nCOPY --from=one /dst /dst2\n"


@dataclass(frozen=True, slots=True)
class Steps:
    """A Dockerfile, then what it is when ``src/a`` has changed; and what is shared below ``top``."""

    before: str
    after: str
    expected: set[str]
    top: str = "dst"


PARENT = "FROM scratch\nCOPY {} /other\nCOPY src /dst\n"
STEPS = {
    "linked": Steps("FROM scratch\nCOPY --link src /dst\n", "FROM scratch\nCOPY --link src /dst\n", _ALL - {"a"}),
    "added": Steps("FROM scratch\nADD src /dst\n", "FROM scratch\nADD src /dst\n", _ALL - {"a"}),
    "to the root": Steps("FROM scratch\nCOPY src /\n", "FROM scratch\nCOPY src /\n", {"sub/c", "sub/deep/d"}, "."),
    "with a slash": Steps("FROM scratch\nCOPY src/ /dst/\n", "FROM scratch\nCOPY src/ /dst/\n", _ALL - {"a"}),
    "another parent": Steps(PARENT.format("src/a"), PARENT.format("src/b"), _ALL - {"a"}),
    "owner": Steps(
        "FROM scratch\nCOPY --chown=7:8 src /dst\n", "FROM scratch\nCOPY --chown=7:8 src /dst\n", _ALL - {"a"}
    ),
    "another owner": Steps(
        "FROM scratch\nCOPY --chown=7:8 src /dst\n", "FROM scratch\nCOPY --chown=7:9 src /dst\n", _NONE
    ),
    "mode": Steps(
        "FROM scratch\nCOPY --chmod=700 src /dst\n", "FROM scratch\nCOPY --chmod=700 src /dst\n", _ALL - {"a"}
    ),
    "another mode": Steps(
        "FROM scratch\nCOPY --chmod=700 src /dst\n", "FROM scratch\nCOPY --chmod=750 src /dst\n", _NONE
    ),
    "excluded": Steps(
        "FROM scratch\nCOPY --exclude=b src /dst\n", "FROM scratch\nCOPY --exclude=b src /dst\n", _ALL - {"a", "b"}
    ),
    "another destination": Steps("FROM scratch\nCOPY src /one\n", _COPY, _NONE),
    "below the destination": Steps(_COPY, "FROM scratch\nCOPY src/sub /dst\n", _NONE),
    "another directory": Steps("FROM scratch\nCOPY src/sub /dst\n", "FROM scratch\nCOPY src/. /dst\n", _NONE),
    "two directories": Steps(
        "FROM scratch\nCOPY src base/dst /dst/\n", "FROM scratch\nCOPY src base/dst /dst/\n", _NONE
    ),
    "a pattern": Steps("FROM scratch\nCOPY sr* /dst/\n", "FROM scratch\nCOPY sr* /dst/\n", _ALL - {"a"}),
    "a file": Steps("FROM scratch\nCOPY src/a /file\n", "FROM scratch\nCOPY src/a /file\n", _NONE),
    "from a stage": Steps(_TWO_STAGES, _TWO_STAGES, _NONE, "dst2"),
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_steps_share_what_they_may(kit: Bench, steps: Steps) -> None:
    kit.write("base/dst/other", "other")
    build(kit, steps.before)
    kit.write("src/a", "A")
    built_again(kit, steps.after)
    names = shared(kit, steps.top) if snapshots_with(kit, steps.top)[1:] else _NONE
    assert (names & {"sub/c", "sub/deep/d"} if steps.top == "." else names) == steps.expected


def test_a_pattern_that_selected_two_directories_shares_nothing(kit: Bench) -> None:
    """``a`` is that of the second one, of the same size and time."""
    text = "FROM scratch\nCOPY sr* /dst/\n"
    kit.write("srz/a", "z")
    build(kit, text)
    shutil.rmtree(kit.context / "srz")
    assert built_again(kit, text).tree["dst/a"].endswith(" a")
    assert shared(kit) == _NONE


def test_in_directories_that_are_parents_only_nothing_is_shared(kit: Bench) -> None:
    """Where they are there before, they have another time after something was put into them."""
    kit.write("base/dst/sub/old", "old")
    kit.write("src/other/c", "c")
    kit.write("src/changed/c", "c")
    text = "FROM scratch\nCOPY base /\nCOPY --parents src/./*/c /dst/\n"
    build(kit, text)
    kit.write("src/changed/c", "C")
    result = build(kit, text)
    assert result.times["dst/sub"] == max(result.times.values())
    assert shared(kit) == {"other/c"}


@pytest.mark.parametrize("request_", [{"use_cache": False}, {"anew": ("one",)}], ids=["no cache", "a stage anew"])
def test_what_is_made_anew_shares_nothing(kit: Bench, request_: dict[str, Any]) -> None:
    text = _COPY.replace("scratch", "scratch AS one")
    build(kit, text)
    kit.write("src/a", "A")
    built_again(kit, text, **request_)
    assert shared(kit) == _NONE


def test_an_owner_by_name_is_that_of_the_image_of_now(kit: Bench) -> None:
    text = _BASE + _OWNED
    kit.write("base/etc/passwd", "root:x:0:0::/:\napp:x:5:6::/:\n")
    build(kit, text)
    kit.write("src/a", "A")
    assert built_again(kit, text).tree["dst/b"] == "-0644 5:6 b"
    assert shared(kit) == _ALL - {"a"}
    kit.write("base/etc/passwd", "root:x:0:0::/:\napp:x:7:8::/:\n")
    assert built_again(kit, text).tree["dst/b"] == "-0644 7:8 b"
    assert shared(kit) == _NONE


# -- destinations that are there


def test_files_of_the_base_are_replaced(kit: Bench) -> None:
    kit.write("base/dst/b", "old", 0o600)
    kit.write("base/dst/sub/old", "old")
    (kit.context / "base/dst/sub/c").symlink_to("old")
    text = "FROM scratch\nCOPY base /\nCOPY src /dst\n"
    build(kit, text)
    kit.write("src/a", "A")
    result = built_again(kit, text)
    assert shared(kit) == _ALL - {"a"}
    assert {name: result.tree[f"dst/{name}"] for name in ("a", "b", "sub/c", "sub/old")} == {
        "a": "-0644 0:0 A",
        "b": "-0644 0:0 b",
        "sub/c": "-0644 0:0 c",
        "sub/old": "-0644 0:0 old",
    }


def test_what_stands_in_the_way_is_seen(kit: Bench) -> None:
    kit.write("base/file", "x")
    text = "FROM scratch\nCOPY base /\nCOPY src /dst\n"
    build(kit, text)
    kit.write("base/dst/sub/c/file", "x")
    assert "/dst/sub/c in the image is a directory" in kit.build(text).error


def test_symlinks_of_the_destination_are_followed_and_nothing_is_shared(kit: Bench) -> None:
    """Where they led before is not known: here ``deep/c`` of before is what ``c`` would be now."""
    text = "FROM scratch\nCOPY base /\nCOPY src/sub /dst\n"
    kit.write("src/sub/deep/c", "x")
    kit.write("base/real/deep/keep", "keep")
    (kit.context / "base/dst").symlink_to("real")
    build(kit, text)
    (kit.context / "base/dst").unlink()
    (kit.context / "base/dst").symlink_to("real/deep")
    result = built_again(kit, text)
    assert result.tree["real/deep/c"].endswith(" c")
    assert shared(kit, "real") == _NONE


# -- who else has the files


def test_a_step_that_changes_a_shared_file_leaves_the_earlier_snapshot_alone(kit: Bench) -> None:
    kit.add_shell()
    text = f"{SHELL}COPY src /dst\nRUN echo more >> /dst/b && chmod 600 /dst/sub/c && rm /dst/sub/deep/d\n"
    build(kit, text)
    kit.write("src/a", "A")
    result = build(kit, text)
    assert (result.tree["dst/b"], result.tree["dst/sub/c"]) == ("-0644 0:0 bmore\n", "-0600 0:0 c")
    assert "dst/sub/deep/d" not in result.tree
    for top in (path for path in snapshots_with(kit, "dst") if (path / "a").exists()):
        assert (top / "b").read_text() == "b"
        assert (top / "sub/c").stat().st_mode & 0o777 == 0o644
        assert (top / "sub/deep/d").exists()


def test_the_later_snapshot_is_whole_without_the_earlier_one(kit: Bench) -> None:
    build(kit, _COPY)
    kit.write("src/a", "A")
    first = build(kit, _COPY)
    with Store.open(str(kit.root)) as store:
        earlier, _ = sorted(row.id for row in store.snapshots.rows())
        assert store.snapshots.remove(earlier, unless_used_since=2**62)
    again = build(kit, _COPY)
    assert set(again.steps.values()) == {"cached"}
    assert (again.tree, again.layers) == (first.tree, first.layers)


def test_a_snapshot_that_may_be_shared_counts_as_used(kit: Bench) -> None:
    build(kit, _COPY)
    with Store.open(str(kit.root)) as store:
        ((number, used),) = [(row.id, row.used) for row in store.snapshots.rows()]
    kit.write("src/a", "A")
    build(kit, _COPY)
    with Store.open(str(kit.root)) as store:
        assert not store.snapshots.remove(number, unless_used_since=used)


def test_trees_that_are_folders_share_nothing(kit: Bench) -> None:
    forced = Forced(snapshotter="copy")

    def machine() -> Machine:
        return Machine.enter(forced)

    build(kit, _COPY, machine=machine, forced=forced)
    kit.write("src/a", "A")
    built_again(kit, _COPY, machine=machine, forced=forced)
    assert shared(kit) == _NONE
    kit.write("src/a", "Å")
    built_again(kit, _COPY)
    assert shared(kit) == _ALL - {"a"}


# -- links that cannot be made


def _refusing(number: int, names: Sequence[str]) -> Callable[..., None]:
    link = os.link

    def refuse(source: str, name: str, **keywords: Any) -> None:
        if name in names:
            raise OSError(number, os.strerror(number))
        link(source, name, **keywords)

    return refuse


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENOENT], ids=errno.errorcode.get)
@pytest.mark.parametrize("names", [("b", "c", "d"), ("c",)], ids=["all", "one"])
def test_what_cannot_be_linked_is_copied(
    kit: Bench, monkeypatch: pytest.MonkeyPatch, number: int, names: tuple[str, ...]
) -> None:
    kit.write("base/dst/b", "old", 0o600)
    text = "FROM scratch\nCOPY base /\nCOPY --chown=7:8 src /dst\n"
    build(kit, text)
    kit.write("src/a", "A")
    monkeypatch.setattr(os, "link", _refusing(number, names))
    built_again(kit, text)
    assert shared(kit) == {name for name in _ALL - {"a"} if os.path.basename(name) not in names}


def test_a_snapshot_that_somebody_has_removed_by_hand_is_not_needed(
    kit: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(kit, _COPY)
    kit.write("src/a", "A")
    first = snapshots_with(kit, "dst")[0]
    link = os.link

    def remove_first(*words: str, **keywords: Any) -> None:
        shutil.rmtree(first, ignore_errors=True)
        link(*words, **keywords)

    monkeypatch.setattr(os, "link", remove_first)
    built_again(kit, _COPY)


def test_a_build_that_is_killed_while_it_links_leaves_nothing(kit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    build(kit, _COPY)
    kit.write("src/a", "A")

    def end(*_: str, **__: Any) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", end)
        with pytest.raises(AssertionError):
            kit.build(_COPY)
    assert len(snapshots_with(kit, "dst")) == 2
    built_again(kit, _COPY)
    assert len(snapshots_with(kit, "dst")) == 2
    assert shared(kit) == _ALL - {"a"}
