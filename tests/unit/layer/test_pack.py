from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from ocibuild.errors import InvalidLayer
from ocibuild.fs import Root
from ocibuild.layer.apply import apply
from ocibuild.layer.changes import Changed, Opaque, Removed
from ocibuild.layer.chunks import CHUNK
from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.owners import RealOwners, RecordedOwners
from ocibuild.layer.pack import pack
from ocibuild.oci import Compression
from tests.unit.layer.helpers import MTIME, OWNERS, needs_root, read_all, run, tool, tree, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ocibuild.layer.changes import Change
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import DiffID


def _pack(
    path: Path,
    changes: Iterable[Change] | None = None,
    *,
    compression: Compression = Compression.NONE,
    owners: Ownership | None = None,
    threads: int = 1,
) -> tuple[DiffID, bytes]:
    """Pack the changes of a tree, all of it where there are none."""
    pieces: list[bytes] = []
    with Root.open(path) as root:
        if changes is None:
            changes = [Changed("."), *(Changed(name) for name, _ in root.walk())]
        owners = owners or OWNERS
        diff_id = pack(changes, root, pieces.append, compression=compression, owners=owners, threads=threads)
    return diff_id, b"".join(pieces)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample"
    (path / "dir/empty").mkdir(parents=True)
    (path / "file").write_bytes(b"content")
    (path / "large").write_bytes(os.urandom(3_000_001))
    (path / "dir/exact").write_bytes(b"x" * 1024)
    (path / "link").symlink_to("/nowhere")
    os.link(path / "file", path / "dir/again")
    os.mkfifo(path / "fifo")
    os.setxattr(path / "file", "user.a", b"\0b")
    os.setxattr(path / "dir", "user.b", b"c")
    (path / "file").chmod(0o4711)
    (path / "dir").chmod(0o1777)
    for found, directories, files in os.walk(path, topdown=False):
        for name in (*directories, *files):
            os.utime(os.path.join(found, name), (MTIME, MTIME), follow_symlinks=False)
    return path


@pytest.mark.parametrize("compression", Compression)
def test_a_tree_comes_back_as_it_was(tmp_path: Path, sample: Path, compression: Compression) -> None:
    diff_id, blob = _pack(sample, compression=compression, threads=3)
    applied = unpack(blob, tmp_path / "root", compression)
    assert tree(tmp_path / "root") == tree(sample)
    assert diff_id == applied.diff_id


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("large", [0, CHUNK - 5000, CHUNK, 3_000_001])
def test_a_layer_is_the_same_in_any_number_of_threads(sample: Path, compression: Compression, large: int) -> None:
    os.truncate(sample / "large", large)
    layers = [_pack(sample, compression=compression, threads=threads) for threads in (1, 2, 3, 8)]
    assert layers == layers[:1] * 4


@pytest.mark.parametrize("compression", Compression)
def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, sample: Path, compression: Compression) -> None:
    first, blob = _pack(sample, compression=compression)
    unpack(blob, tmp_path / "copy", compression)
    os.utime(tmp_path / "copy", (0, sample.stat().st_mtime))
    assert _pack(tmp_path / "copy", compression=compression) == (first, blob)


@pytest.mark.parametrize("reader", ["tar", "bsdtar"])
def test_other_tools_unpack_the_same(tmp_path: Path, sample: Path, reader: str) -> None:
    if reader == "bsdtar" and os.geteuid() != 0:
        (sample / "file").chmod(0o711)  # it takes set-user-ID from a file that it cannot give to its owner
    _, tar = _pack(sample)
    (tmp_path / "root").mkdir()
    options = ["--xattrs", "--xattrs-include=*"] if reader == "tar" else ["--xattrs"]
    run(tool(reader), "-x", "-p", *options, "-f", "-", "-C", str(tmp_path / "root"), input=tar)
    assert tree(tmp_path / "root") == tree(sample)


def test_removals_become_whiteouts_in_the_order_given(sample: Path) -> None:
    changes: list[Change] = [Removed("a"), Changed("dir"), Opaque("dir"), Removed("dir/b"), Opaque(".")]
    _, tar = _pack(sample, changes)
    found = [entry for entry, _ in read_all(tar)]
    assert [entry.name for entry in found] == [".wh.a", "dir", "dir/.wh..wh..opq", "dir/.wh.b", ".wh..wh..opq"]
    assert found[0] == Entry(".wh.a", Kind.FILE, mode=0)


def test_a_second_name_is_a_hard_link_only_to_a_name_of_the_same_layer(sample: Path) -> None:
    _, both = _pack(sample, [Changed("dir/again"), Changed("file")])
    _, alone = _pack(sample, [Changed("file")])
    assert [(entry.kind, entry.linkname) for entry, _ in read_all(both)] == [
        (Kind.FILE, ""),
        (Kind.HARDLINK, "dir/again"),
    ]
    assert [entry.kind for entry, _ in read_all(alone)] == [Kind.FILE]


def test_sockets_and_private_attributes_are_left_out(sample: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        previous = os.getcwd()
        os.chdir(sample)
        try:
            listener.bind("socket")
        finally:
            os.chdir(previous)
    os.setxattr(sample / "file", "user.overlay.origin", b"x")
    os.setxattr(sample / "file", "user.containers.override_stat", b"1:2:0644:file")
    os.setxattr(sample / "dir", "user.overlay.opaque", b"y")
    _, tar = _pack(sample, [Changed("socket"), Changed("file"), Changed("dir")])
    assert [(entry.name, entry.xattrs) for entry, _ in read_all(tar)] == [
        ("file", {"user.a": b"\0b"}),
        ("dir", {"user.b": b"c"}),
    ]


def test_recorded_owners_become_owners(tmp_path: Path) -> None:
    (tmp_path / "root/d").mkdir(parents=True)
    for name in ("f", "dev", "mine"):
        (tmp_path / "root" / name).write_text("")
    for name, record in (("f", b"7:8:0644:file"), ("dev", b"5:6:0620:char-1-3"), ("d", b"9:10:0755")):
        os.setxattr(tmp_path / "root" / name, "user.containers.override_stat", record)
    (tmp_path / "root/f").chmod(0o4755)
    (tmp_path / "root/dev").chmod(0o620)
    _, tar = _pack(tmp_path / "root", owners=RecordedOwners())
    found = {e.name: (e.kind, e.mode, e.uid, e.gid, e.device) for e, _ in read_all(tar)}
    assert found["f"] == (Kind.FILE, 0o4755, 7, 8, (0, 0))
    assert found["dev"] == (Kind.CHARACTER, 0o620, 5, 6, (1, 3))
    assert found["d"][2:4] == (9, 10)
    assert found["mine"][2:4] == (0, 0)


@pytest.mark.parametrize("record", [b"", b"x", b"1:2", b"1:2:0999:file", b"-1:0:0644", b"1:2:0644:file\n"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "f").write_text("")
    os.setxattr(tmp_path / "f", "user.containers.override_stat", record)
    with pytest.raises(InvalidLayer):
        _pack(tmp_path, [Changed("f")], owners=RecordedOwners())


@pytest.mark.parametrize(
    "owners", [pytest.param(RealOwners.of_this_process(), marks=needs_root), RecordedOwners()], ids=["real", "recorded"]
)
def test_a_layer_of_ours_keeps_its_diff_id(tmp_path: Path, owners: Ownership) -> None:
    entries = [
        (Entry(".", Kind.DIRECTORY, mode=0o755, mtime_ns=5 * 10**9), b""),
        (Entry("d", Kind.DIRECTORY, mode=0o2770, uid=1, gid=2, mtime_ns=6 * 10**9), b""),
        (Entry("d/f", Kind.FILE, mode=0o400, uid=3, gid=4, size=1, mtime_ns=7 * 10**9, xattrs={"user.x": b"y"}), b"z"),
        (Entry("dev", Kind.CHARACTER, mode=0o600, uid=8, device=(1, 5), mtime_ns=9 * 10**9), b""),
        (Entry("l", Kind.SYMLINK, mode=0o777, linkname="d", mtime_ns=8 * 10**9), b""),
    ]
    from tests.unit.layer.helpers import write_all

    tar = write_all(entries)
    (tmp_path / "root").mkdir()
    with Root.open(tmp_path / "root") as root:
        applied = apply(io.BytesIO(tar), Compression.NONE, root, owners=owners)
    if isinstance(owners, RecordedOwners):
        os.utime(tmp_path / "root/dev", (9, 9))
    diff_id, again = _pack(tmp_path / "root", owners=owners)
    assert again == tar
    assert diff_id == applied.diff_id


def test_a_file_without_any_permission_is_packed_by_its_owner(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/f").write_text("closed")
    (tmp_path / "root/f").chmod(0)
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
        os.chown(tmp_path / "root", 65534, 65534)
        os.chown(tmp_path / "root/f", 65534, 65534)
    directory = os.open(tmp_path / "root", os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            pieces: list[bytes] = []
            pack([Changed("f")], Root(directory), pieces.append, compression=Compression.NONE, owners=RecordedOwners())
            [(entry, body)] = read_all(b"".join(pieces))
            status = 0 if (entry.mode, body) == (0, b"closed") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(directory)
    assert (tmp_path / "root/f").stat().st_mode & 0o7777 == 0


@pytest.mark.parametrize("change", [Changed("missing"), Changed("file/below")])
def test_a_file_that_is_gone_is_named(sample: Path, change: Changed) -> None:
    with pytest.raises((InvalidLayer, NotADirectoryError)):
        _pack(sample, [change])


@needs_root
def test_a_device_that_would_be_a_whiteout_is_refused(tmp_path: Path) -> None:
    import stat

    os.mknod(tmp_path / "w", stat.S_IFCHR, 0)
    with pytest.raises(InvalidLayer, match="whiteout"):
        _pack(tmp_path, [Changed("w")])


@pytest.mark.parametrize("compression", Compression)
def test_an_error_of_the_sink_surfaces_and_ends_all_threads(sample: Path, compression: Compression) -> None:
    def full(piece: bytes) -> None:
        raise OSError("no space")

    before = threading.active_count()
    changes = [Changed("large")] * 50
    with Root.open(sample) as root, pytest.raises(OSError, match="no space"):
        pack(changes, root, full, compression=compression, owners=OWNERS, threads=3)
    assert threading.active_count() == before


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("repeated", [1, 50])
def test_an_error_while_files_are_read_surfaces_and_ends_all_threads(
    sample: Path, compression: Compression, repeated: int
) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidLayer, match="'missing' was removed while it was being packed"):
        _pack(sample, [*[Changed("large")] * repeated, Changed("missing")], compression=compression, threads=3)
    assert threading.active_count() == before


def test_an_error_of_a_thread_that_compresses_surfaces_and_ends_all_threads(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise MemoryError("no room for its tables")

    monkeypatch.setattr(isal_zlib, "compressobj", fail)
    before = threading.active_count()
    with pytest.raises(MemoryError, match="no room for its tables"):
        _pack(sample, [Changed("large")] * 50, compression=Compression.GZIP, threads=3)
    assert threading.active_count() == before


def test_progress_counts_the_plain_bytes(sample: Path) -> None:
    steps: list[int] = []
    with Root.open(sample) as root:
        pieces: list[bytes] = []
        changes = [Changed("large"), Changed("file")]
        pack(changes, root, pieces.append, compression=Compression.NONE, owners=OWNERS, progress=steps.append)
    assert (sum(steps), len(steps) > 1) == (len(b"".join(pieces)), True)


_PEAK = """
import resource, sys
from ocibuild.fs import Root
from ocibuild.layer.changes import Changed
from ocibuild.layer.owners import RealOwners
from ocibuild.layer.pack import pack
from ocibuild.oci import Compression
path, compression, repeated = sys.argv[1:]
with Root.open(path) as root:
    changes = [Changed("f")] * int(repeated)
    pack(changes, root, len, compression=Compression(compression), owners=RealOwners.of_this_process(), threads=4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


@pytest.mark.parametrize("compression", Compression)
def test_memory_does_not_grow_with_the_layer(tmp_path: Path, compression: Compression) -> None:
    (tmp_path / "f").write_bytes(os.urandom(32 << 20) + bytes(32 << 20))

    def peak(repeated: int) -> int:
        command = [sys.executable, "-c", _PEAK, str(tmp_path), compression.value, str(repeated)]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    assert peak(8) < peak(1) + (16 << 20)


_PARTS = st.sampled_from(["a", "b", "c", "é", "x" * 90])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.dictionaries(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), st.binary(max_size=2000), max_size=8))
def test_any_tree_goes_to_tar_and_back(tmp_path: Path, files: dict[str, bytes]) -> None:
    import tempfile
    from pathlib import Path as RealPath

    base = RealPath(tempfile.mkdtemp(dir=tmp_path))
    (base / "tree").mkdir()
    for name, body in files.items():
        path = base / "tree" / name
        if any(parent.is_file() for parent in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (MTIME, MTIME))
    for found, _, _ in os.walk(base / "tree"):
        os.utime(found, (MTIME, MTIME))
    diff_id, blob = _pack(base / "tree", compression=Compression.GZIP)
    assert unpack(blob, base / "root", Compression.GZIP).diff_id == diff_id
    assert tree(base / "root") == tree(base / "tree")
