from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceError
from ocibuild.fs import Root
from ocibuild.source import content_digest, select
from ocibuild.source.contents import FileDigests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.oci import Digest

_LARGE = 4 * 1024 * 1024


class _Cache:
    """Keeps digests in memory and counts."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], Digest] = {}
        self.hits = 0
        self.threads: set[int] = set()

    def get(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> Digest | None:
        self.threads.add(threading.get_ident())
        found = self.known.get((dev, ino, size, mtime_ns, ctime_ns))
        self.hits += found is not None
        return found

    def put(self, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int, digest: Digest) -> None:
        self.threads.add(threading.get_ident())
        self.known[dev, ino, size, mtime_ns, ctime_ns] = digest


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    with Root.open(tmp_path) as root:
        yield root


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten seconds pass since the last change of any file."""
    now = time.time_ns
    monkeypatch.setattr("ocibuild.source.contents.time.time_ns", lambda: now() + 10 * 10**9)


def _one(root: Root, name: str, cache: _Cache | None = None) -> bytes:
    with FileDigests(root, cache) as contents:
        digest = contents.digest(name, root.lstat(name))
        return digest if isinstance(digest, bytes) else digest()


def _all(root: Root, cache: _Cache | None = None) -> Digest:
    return content_digest(root, select(root, ["."]), cache=cache)


def test_the_digest_of_a_file_is_that_of_its_bytes(root: Root, tmp_path: Path) -> None:
    for content in (b"", b"text", os.urandom(1_000_000)):
        (tmp_path / "f").write_bytes(content)
        assert _one(root, "f") == f"sha256:{hashlib.sha256(content).hexdigest()}".encode()


@pytest.mark.usefixtures("later")
def test_a_file_that_is_as_it_was_is_not_opened_again(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tmp_path / f"f{number}").write_text(str(number))
    cache = _Cache()
    first = _all(root, cache)
    assert (len(cache.known), cache.hits) == (20, 0)
    opened: list[str] = []
    monkeypatch.setattr(root, "open_file", opened.append)
    assert _all(root, cache) == first
    assert (opened, cache.hits) == ([], 20)


@pytest.mark.usefixtures("later")
def test_a_change_is_seen_though_size_and_time_are_put_back(root: Root, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    status = file.stat()
    cache = _Cache()
    before = _one(root, "f", cache)
    time.sleep(0.02)
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert _one(root, "f", cache) != before


def test_a_file_that_has_just_changed_is_not_remembered(root: Root, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one")
    cache = _Cache()
    _one(root, "f", cache)
    assert not cache.known


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("one")
    read = os.read

    def read_and_write(fd: int, count: int) -> bytes:
        chunk = read(fd, count)
        if chunk:
            with (tmp_path / "f").open("a") as file:
                file.write("more")
            monkeypatch.setattr(os, "read", read)
        return chunk

    monkeypatch.setattr(os, "read", read_and_write)
    cache = _Cache()
    _one(root, "f", cache)
    assert not cache.known


@pytest.mark.usefixtures("later")
def test_large_files_are_read_in_threads_and_give_the_same_digest(root: Root, tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"f{number:02}").write_bytes(bytes([number]) * (_LARGE + number))
        (tmp_path / f"small{number:02}").write_bytes(b"x")
    cache = _Cache()
    with FileDigests(root, None) as contents:
        single = {f"f{number:02}": _one(root, f"f{number:02}") for number in range(24)}
        given = {name: contents.digest(name, root.lstat(name)) for name in single}
        assert sum(callable(digest) for digest in given.values()) == 21
        assert {name: digest() if callable(digest) else digest for name, digest in given.items()} == single
    first = _all(root, cache)
    assert len(cache.known) == 48
    assert cache.threads == {threading.get_ident()}
    assert _all(root, cache) == first == _all(root)


def test_no_descriptor_and_no_thread_is_left_after_an_error(root: Root, tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / f"f{number:02}").write_bytes(bytes(_LARGE))
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()

    def work() -> None:
        with FileDigests(root, None) as contents:
            for number in range(24):
                contents.digest(f"f{number:02}", root.lstat(f"f{number:02}"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (descriptors, threads)


@pytest.mark.parametrize("replace", ["nothing", "symlink", "fifo", "directory"])
def test_a_file_that_was_replaced_meanwhile_is_named(root: Root, tmp_path: Path, replace: str) -> None:
    (tmp_path / "f").write_text("one")
    status = root.lstat("f")
    (tmp_path / "f").unlink()
    match replace:
        case "symlink":
            (tmp_path / "f").symlink_to("/etc/passwd")
        case "fifo":
            os.mkfifo(tmp_path / "f")
        case "directory":
            (tmp_path / "f").mkdir()
    with FileDigests(root, None) as contents, pytest.raises(SourceError, match="'f' was replaced or removed"):
        contents.digest("f", status)
