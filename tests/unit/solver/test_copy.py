"""COPY as BuildKit does it: what is expected here was tried against the BuildKit of docker 28."""

from __future__ import annotations

import os
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.fs import Root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.solver.bench import Bench, Built

_PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
_GROUP = "root:x:0:\napp:x:1001:\nstaff:x:50:\n"
_ONE, _TWO = "-0644 0:0 one", "-0755 0:0 two"


@pytest.fixture
def kit(bench: Bench) -> Bench:
    """A tree to copy into, below ``base``, and beside it what is copied."""
    bench.write("base/etc/passwd", _PASSWD)
    bench.write("base/etc/group", _GROUP)
    bench.write("base/d750/keep", "keep")
    bench.write("base/d750/sub/old", "old")
    bench.write("base/file", "old file", 0o600)
    base = bench.context / "base"
    (base / "d750/sub").chmod(0o700)
    (base / "d750").chmod(0o750)
    for name, target in {
        "todir": "d750",
        "absdir": "/d750",
        "escdir": "../../../d750",
        "tofile": "file",
        "dangling": "nowhere",
        "deep": "no/where",
        "loop": "loop",
    }.items():
        (base / name).symlink_to(target)
    bench.write("one", "one")
    bench.write("two", "two", 0o755)
    bench.write("src/x", "x", 0o640)
    bench.write("src/sub/y", "y", 0o4755)
    (bench.context / "src/sub").chmod(0o2770)
    (bench.context / "src").chmod(0o711)
    (bench.context / "src/ln").symlink_to("x")
    (bench.context / "srcln").symlink_to("src")
    (bench.context / "oneln").symlink_to("one")
    (bench.context / "empty").mkdir()
    return bench


def built(bench: Bench, lines: str) -> Built:
    return bench.build(f"FROM scratch\nCOPY base/ /\n{lines}\n")


def changes(bench: Bench, lines: str) -> dict[str, str]:
    """Return what ``lines`` change in the tree of ``base``; what is gone is empty."""
    result = built(bench, lines)
    assert not result.error, result.error
    before = built(bench, "").tree
    changed = {name: line for name, line in result.tree.items() if before.get(name) != line}
    return changed | {name: "" for name in before if name not in result.tree}


_SRC = {"x": "-0640 0:0 x", "sub": "d2770 0:0", "sub/y": "-4755 0:0 y", "ln": "l 0:0 x"}


def below(folder: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": line for name, line in names.items()}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # where a file goes
        ("COPY one /new", {"new": _ONE}),
        ("COPY one /new/", {"new": "d0755 0:0", "new/one": _ONE}),
        ("COPY one /p/q/new", {"p": "d0755 0:0", "p/q": "d0755 0:0", "p/q/new": _ONE}),
        ("COPY one /d750", {"d750/one": _ONE}),
        ("COPY one /d750/", {"d750/one": _ONE}),
        ("COPY one /file", {"file": _ONE}),
        ("COPY one /todir", {"d750/one": _ONE}),
        ("COPY one /todir/", {"d750/one": _ONE}),
        ("COPY one /absdir", {"d750/one": _ONE}),
        ("COPY one /escdir/", {"d750/one": _ONE}),
        ("COPY one /tofile", {"file": _ONE}),
        ("COPY one /dangling", {"nowhere": _ONE}),
        ("COPY one /dangling/", {"nowhere": "d0755 0:0", "nowhere/one": _ONE}),
        ("COPY one /dangling/a", {"nowhere": "d0755 0:0", "nowhere/a": _ONE}),
        ("COPY one /deep", {"no": "d0755 0:0", "no/where": _ONE}),
        ("WORKDIR /d750/sub\nCOPY one ../c", {"d750/c": _ONE}),
        ("WORKDIR /d750\nCOPY one .", {"d750/one": _ONE}),
        # several sources
        ("COPY one two /new/", {"new": "d0755 0:0", "new/one": _ONE, "new/two": _TWO}),
        ("COPY one two /d750", {"d750/one": _ONE, "d750/two": _TWO}),
        ("COPY empty one /new", {"new": "d0755 0:0", "new/one": _ONE}),
        ("COPY src empty /new", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY one two /new", {"new": _TWO}),
        ("COPY two one /file", {"file": _ONE}),
        # wildcards
        ("COPY on? /new", {"new": _ONE}),
        ("COPY [ot]* /new/", {"new": "d0755 0:0", "new/one": _ONE, "new/oneln": _ONE, "new/two": _TWO}),
        ("COPY zz* /new/", {}),
        ("COPY sr*c /new", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY s*/sub /new", {"new": "d0755 0:0", "new/y": "-4755 0:0 y"}),
        ("COPY src/* /", {"ln": "-0640 0:0 x", "x": "-0640 0:0 x", "y": "-4755 0:0 y"}),
        # directories
        ("COPY src /new", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY src/ /new/", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY src/. /new/.", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY src /p/q", {"p": "d0755 0:0", "p/q": "d0755 0:0", **below("p/q", _SRC)}),
        ("COPY src /d750", {**below("d750", _SRC), "d750/sub": "d2770 0:0"}),
        ("COPY src /todir/", {**below("d750", _SRC), "d750/sub": "d2770 0:0"}),
        ("COPY src /dangling", {"nowhere": "d0755 0:0", **below("nowhere", _SRC)}),
        ("COPY src /", _SRC),
        ("COPY empty /new", {"new": "d0755 0:0"}),
        ("COPY empty /d750", {}),
        # symlinks as sources are followed, those inside a directory are not
        ("COPY oneln /new", {"new": _ONE}),
        ("COPY oneln /new/", {"new": "d0755 0:0", "new/oneln": _ONE}),
        ("COPY srcln /new", {"new": "d0755 0:0", **below("new", _SRC)}),
        ("COPY src/ln /new", {"new": "-0640 0:0 x"}),
        # --chown is also for what is made on the way, never for what is there
        ("COPY --chown=app one /p/new", {"p": "d0755 1000:1001", "p/new": "-0644 1000:1001 one"}),
        ("COPY --chown=app:staff one /new", {"new": "-0644 1000:50 one"}),
        ("COPY --chown=:staff one /new", {"new": "-0644 0:50 one"}),
        ("COPY --chown=77 one /new", {"new": "-0644 77:77 one"}),
        ("COPY --chown=app: one /new", {"new": "-0644 1000:0 one"}),
        ("COPY --chown=nobody one /new", {"new": "-0644 0:0 one"}),
        ("COPY --chown=app:none one /new", {"new": "-0644 1000:1001 one"}),
        ("COPY --chown=5:6 one /d750/", {"d750/one": "-0644 5:6 one"}),
        ("COPY --chown=5:6 one /file", {"file": "-0644 5:6 one"}),
        ("COPY --chown=5:6 src /new", {"new": "d0755 5:6", "new/x": "-0640 5:6 x", "new/sub": "d2770 5:6",
            "new/sub/y": "-4755 5:6 y", "new/ln": "l 5:6 x"}),
        # --chmod likewise, without its special bits for what is made on the way
        ("COPY --chmod=751 one /new", {"new": "-0751 0:0 one"}),
        ("COPY --chmod=700 one /p/new", {"p": "d0700 0:0", "p/new": "-0700 0:0 one"}),
        ("COPY --chmod=600 one /d750/", {"d750/one": "-0600 0:0 one"}),
        ("COPY --chmod=4711 src /new", {"new": "d0711 0:0", "new/x": "-4711 0:0 x", "new/sub": "d4711 0:0",
            "new/sub/y": "-4711 0:0 y", "new/ln": "l 0:0 x"}),
        ("COPY --chown=app --chmod=4711 one /new", {"new": "-4711 1000:1001 one"}),
    ],
    ids=lambda value: value.replace("\n", "; ") if isinstance(value, str) else "",
)  # fmt: skip
def test_copy_gives(kit: Bench, lines: str, expected: dict[str, str]) -> None:
    assert changes(kit, lines) == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("COPY one /file/", "/file in the image is not a directory"),
        ("COPY one /file/b", "/file in the image is not a directory"),
        ("COPY one /tofile/", "/file in the image is not a directory"),
        ("COPY src /file", "/file in the image is not a directory"),
        ("COPY src /tofile", "/file in the image is not a directory"),
        ("WORKDIR /file", "/file in the image is not a directory"),
        ("COPY one /loop", "/loop: more than 40 symbolic links"),
        ("COPY over-dir /", "/d750 in the image is a directory, and something that is no directory cannot replace it"),
        ("COPY over-file /", "/file in the image is something that is no directory, and a directory cannot replace it"),
        ("COPY over-link /", "/todir in the image is something that is no directory, and a directory cannot"),
        ("COPY missing /new", "'missing' in the build context does not exist"),
        ("COPY ../../etc/passwd /new", "'etc/passwd' in the build context does not exist"),
    ],
)
def test_copy_is_refused_with_its_line(kit: Bench, lines: str, message: str) -> None:
    kit.write("over-dir/d750", "a file")
    kit.write("over-file/file/a", "in a directory")
    kit.write("over-link/todir/a", "in a directory")
    result = built(kit, lines)
    assert result.error.startswith(f"{kit.context}/Dockerfile:3: ")
    assert message in result.error


def test_directories_that_are_merged_take_the_mode_of_the_source(kit: Bench) -> None:
    kit.write("over/d750/sub/new", "new")
    (kit.context / "over/d750").chmod(0o777)
    assert changes(kit, "COPY over /") == {
        "d750": "d0777 0:0",
        "d750/sub": "d0755 0:0",
        "d750/sub/new": "-0644 0:0 new",
    }


def test_files_directories_and_symlinks_keep_their_times(kit: Bench) -> None:
    for name, seconds in {"src/x": 1_400_000_001, "src/sub": 1_400_000_002, "src/ln": 1_400_000_003, "src": 5}.items():
        os.utime(kit.context / name, (seconds, seconds), follow_symlinks=False)
    for destination in ("new", "d750"):
        times = built(kit, f"COPY src /{destination}").times
        assert times[f"{destination}/x"] == 1_400_000_001
        assert times[f"{destination}/sub"] == 1_400_000_002
        assert times[f"{destination}/ln"] == 1_400_000_003
        assert times[destination] == 5


def test_hard_links_stay_within_one_source(kit: Bench) -> None:
    kit.write("hl/a", "same")
    (kit.context / "hl/s").mkdir()
    for name in ("hl/b", "hl/s/c"):
        os.link(kit.context / "hl/a", kit.context / name)
    assert _names_of_one_file(kit, "COPY hl /new") == 3
    assert _names_of_one_file(kit, "COPY hl/a hl/b /new/") == 1


def _names_of_one_file(bench: Bench, lines: str) -> int:
    bench.add_shell()
    shell = 'COPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'
    result = built(bench, f"{shell}{lines}\nRUN busybox stat -c %h /new/a")
    assert not result.error, result.error
    return int(result.output)


def test_a_file_that_is_copied_over_leaves_its_other_names_alone(kit: Bench) -> None:
    os.link(kit.context / "base/file", kit.context / "base/other")
    assert changes(kit, "COPY one /file") == {"file": _ONE}


def test_fifos_are_copied_and_sockets_left_out(kit: Bench) -> None:
    import socket

    os.mkfifo(kit.context / "src/fifo", 0o640)
    with Root.open(str(kit.context / "src")) as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder.fd}/socket")  # a socket's path has 108 bytes at most
    found = changes(kit, "COPY --chown=5:6 src /new")
    assert found["new/fifo"] == "p0640 5:6"
    assert "new/socket" not in found


def test_a_directory_with_set_group_id_gives_its_group_to_what_is_made_on_the_way_alone(kit: Bench) -> None:
    kit.write("shared/s/keep", "")
    (kit.context / "shared/s").chmod(0o2775)
    assert changes(kit, "COPY --chown=0:50 shared /\nCOPY one src/ln /s/a/b/\nCOPY src /s/c\nWORKDIR /s/w") == {
        "s": "d2775 0:50",
        "s/keep": "-0644 0:50 ",
        "s/a": "d2755 0:50",
        "s/a/b": "d2755 0:50",
        "s/a/b/one": _ONE,
        "s/a/b/ln": "-0640 0:0 x",
        "s/c": "d2755 0:50",
        **below("s/c", _SRC),
        "s/w": "d2755 0:50",
    }


def test_attributes_come_from_a_stage_but_not_from_a_context(kit: Bench) -> None:
    capability = struct.pack("<5I", 0x02000001, 0x2000, 0, 0, 0)
    try:
        os.setxattr(kit.context / "one", "security.capability", capability)
    except PermissionError:
        pytest.skip("left out: only root can set a capability")
    os.setxattr(kit.context / "one", "user.origin", b"https://host.example/one")
    assert kit.build("FROM scratch\nCOPY one /new\n").xattrs["new"] == {}
    value = capability.decode("latin1")
    with tarfile.open(kit.context / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("capable")
        member.pax_headers = {"SCHILY.xattr.security.capability": value, "SCHILY.xattr.user.origin": "a tar"}
        tar.addfile(member)
    stage = "FROM scratch AS made\nADD a.tar /\nFROM scratch\nCOPY --from=made /capable /two\n"
    expected = {"security.capability": capability, "user.origin": b"a tar"}
    assert kit.build(stage).xattrs["two"] == expected


def test_copy_from_a_stage_keeps_owners_and_modes(kit: Bench) -> None:
    stage = "FROM scratch AS made\nCOPY base/ /\nCOPY --chown=app:staff src /data\n"
    result = kit.build(f"{stage}FROM scratch\nCOPY --from=made /data /out\nCOPY --from=made /data/sub/y /p/q/\n")
    assert result.tree == {
        "out": "d0755 0:0",
        "out/x": "-0640 1000:50 x",
        "out/sub": "d2770 1000:50",
        "out/sub/y": "-4755 1000:50 y",
        "out/ln": "l 1000:50 x",
        "p": "d0755 0:0",
        "p/q": "d0755 0:0",
        "p/q/y": "-4755 1000:50 y",
    }


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("/todir/keep", "-0644 0:0 keep"),
        ("/escdir/keep", "-0644 0:0 keep"),
        ("/tofile", "-0600 0:0 old file"),
    ],
)
def test_symlinks_of_a_stage_lead_inside_it(kit: Bench, source: str, line: str) -> None:
    result = kit.build(f"FROM scratch AS made\nCOPY base/ /\nFROM scratch\nCOPY --from=made {source} /out\n")
    assert result.tree == {"out": line}


def test_excluded_files_are_not_copied_but_the_parents_of_kept_ones_are(kit: Bench) -> None:
    kit.write("ign/a/b")
    kit.write("ign/a/c")
    kit.write("ign/z")
    (kit.context / "ign/a").chmod(0o700)
    kit.write(".dockerignore", "ign/a\n!ign/a/c\n")
    assert changes(kit, "COPY ign /new") == {
        "new": "d0755 0:0",
        "new/a": "d0700 0:0",
        "new/a/c": "-0644 0:0 ",
        "new/z": "-0644 0:0 ",
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("WORKDIR /a/b", {"a": "d0755 0:0", "a/b": "d0755 0:0"}),
        ("USER app\nWORKDIR /a/b", {"a": "d0755 1000:1001", "a/b": "d0755 1000:1001"}),
        ("USER app:staff\nWORKDIR /a", {"a": "d0755 1000:50"}),
        ("USER 55\nWORKDIR /a", {"a": "d0755 55:55"}),
        ("USER app\nWORKDIR /d750/n", {"d750/n": "d0755 1000:1001"}),
        ("USER app\nWORKDIR /d750", {}),
        ("WORKDIR /todir/n", {"d750/n": "d0755 0:0"}),
        ("WORKDIR /dangling", {"nowhere": "d0755 0:0"}),
        ("USER app\nWORKDIR /a\nCOPY one x/", {"a": "d0755 1000:1001", "a/x": "d0755 0:0", "a/x/one": _ONE}),
        ("USER unknown\nWORKDIR /a", {"a": "d0755 0:0"}),
    ],
    ids=lambda value: value.replace("\n", "; ") if isinstance(value, str) else "",
)
def test_workdir_gives(kit: Bench, lines: str, expected: dict[str, str]) -> None:
    assert changes(kit, lines) == expected


def test_a_large_file_with_holes_is_copied_whole(kit: Bench, tmp_path: Path) -> None:
    with (kit.context / "sparse").open("wb") as file:
        file.truncate(5 << 20)
        file.seek(3 << 20)
        file.write(b"middle")
    kit.add_shell()
    lines = 'COPY busybox /\nCOPY sparse /\nSHELL ["/busybox", "sh", "-c"]\nRUN /busybox sha256sum /sparse'
    import hashlib

    assert hashlib.sha256((kit.context / "sparse").read_bytes()).hexdigest() in built(kit, lines).output


def test_a_name_that_is_too_long_is_said_of_its_line(kit: Bench) -> None:
    assert built(kit, f"WORKDIR /{'n' * 256}").error.endswith(f"/Dockerfile:3: {'n' * 256}: File name too long")
