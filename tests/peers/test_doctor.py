"""What doctor says inside containers of Debian's docker: of each row, and of the least that gives the next one."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support.peers import require_peer
from tests.support.rootless import installed_programs

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.docker import Docker

USER = ("--user", "1000:1000")
NO_FILTER = ("--security-opt", "seccomp=unconfined")
ALL_OF_PROC = ("--security-opt", "systempaths=unconfined")
BOTH = "start the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined"


class Case(NamedTuple):
    """Options of ``docker run``, the row and the snapshotter that they lead to, and what the better row needs."""

    options: tuple[str, ...]
    row: str
    snapshotter: str
    better: str | None


CASES = {
    "root": Case((), "root-proot", "copy", BOTH),
    "user": Case(USER, "proot", "copy", BOTH),
    "no-capabilities": Case(("--cap-drop=ALL",), "proot", "copy", BOTH),
    "read-only-root": Case(("--read-only", "--tmpfs", "/tmp:exec"), "root-proot", "copy", BOTH),
    "tmp-without-programs": Case(("--tmpfs", "/tmp"), "root-chroot", "copy", "--tmpfs /tmp:exec"),
    "user-no-filter": Case((*USER, *NO_FILTER), "proot", "copy", "--security-opt systempaths=unconfined"),
    "root-no-filter": Case(NO_FILTER, "root-proot", "copy", "--security-opt systempaths=unconfined"),
    "user-all-of-proc": Case((*USER, *ALL_OF_PROC), "proot", "copy", BOTH),
    "user-both": Case((*USER, *NO_FILTER, *ALL_OF_PROC), "one-id", "overlay", "/etc/subuid /etc/subgid"),
    "root-both": Case((*NO_FILTER, *ALL_OF_PROC), "range", "overlay", None),
    "root-admin": Case(("--cap-add=SYS_ADMIN",), "root-proot", "copy", "--security-opt seccomp=unconfined"),
    "user-admin": Case((*USER, "--cap-add=SYS_ADMIN"), "proot", "copy", "--security-opt systempaths=unconfined"),
    "user-admin-no-filter": Case((*USER, "--cap-add=SYS_ADMIN", *NO_FILTER), "proot", "copy", "systempaths=unconfined"),
    "root-admin-no-filter": Case(("--cap-add=SYS_ADMIN", *NO_FILTER), "root", "overlay", None),
}


@pytest.fixture(scope="module")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image without programs, in which this machine's /usr is mounted."""
    path = tmp_path_factory.mktemp("image") / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "store"):
            _add(tar, name, tarfile.DIRTYPE, 0o755)
        _add(tar, "tmp", tarfile.DIRTYPE, 0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            _add(tar, name, tarfile.SYMTYPE, 0o777, f"usr/{name}")
    return docker("import", str(path), "doctor:1")


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, link
    tar.addfile(entry)


def _doctor(docker: Docker, image: str, *options: str, root: str = "/store") -> subprocess.CompletedProcess[str]:
    require_peer("proot")
    programs = installed_programs()
    installed = f"{programs.parent}:{programs.parent}:ro"
    return docker.try_run(
        "run", "--rm", "--network=none", "--volume", "/usr:/usr:ro", "--volume", installed,
        "--env", "HOME=/nowhere", "--env", "PATH=/usr/sbin:/usr/bin", *options, image,
        str(programs / "ocibuild"), "--root", root, "doctor", "--format", "json",
    )  # fmt: skip


def _document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.stdout, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == (0 if document["possible"] else 1)
    return document


@pytest.mark.parametrize("name", CASES)
def test_row_of_a_container(name: str, docker: Docker, image: str, tmp_path: Path) -> None:
    options, row, snapshotter, better = CASES[name]
    document = _document(_doctor(docker, image, *_store(tmp_path), *options))
    assert (document["row"], document["snapshotter"]) == (row, snapshotter), document
    assert document["possible"]
    if better is None:
        assert document["better"] is None
    else:
        assert better in document["better"]["change"]
    assert list((tmp_path / "store").iterdir()) == []


class Ranged(NamedTuple):
    """A user of the image with a range of IDs: how newuidmap may do its work, and what becomes of it."""

    setuid: bool
    options: tuple[str, ...]
    row: str
    better: str | None
    named: bool = True


RANGES = {
    "setuid": Ranged(True, (), "one-id", "setcap cap_setuid=ep /usr/bin/newuidmap"),
    "setuid-with-admin": Ranged(True, ("--cap-add=SYS_ADMIN",), "range", None),
    "capabilities": Ranged(False, (), "range", None),
    "no-name": Ranged(False, (), "one-id", "a line in /etc/passwd", named=False),
    "no-new-privileges": Ranged(
        False, ("--security-opt", "no-new-privileges"), "one-id", "without --security-opt no-new-privileges"
    ),
    "no-capabilities": Ranged(False, ("--cap-drop=ALL",), "one-id", "CAP_SETUID and CAP_SETGID"),
}


@pytest.mark.parametrize("name", RANGES)
def test_range_of_the_image_is_mapped_where_newuidmap_may(
    name: str, docker: Docker, image: str, tmp_path: Path
) -> None:
    case = RANGES[name]
    files = {"/etc/subuid": "1000:100000:65536\n", "/etc/subgid": "1000:100000:65536\n"}
    files |= {"/etc/passwd": "dev:x:1000:1000::/:/bin/sh\n"} if case.named else {}
    volumes = [word for path, text in files.items() for word in _volume(tmp_path, path, text)]
    programs = _helpers(tmp_path / "programs", setuid=case.setuid)
    volumes += ["--volume", f"{programs}:/helpers:ro", "--env", "PATH=/helpers:/usr/sbin:/usr/bin"]
    store = _store(tmp_path)
    document = _document(_doctor(docker, image, *store, *volumes, *USER, *NO_FILTER, *ALL_OF_PROC, *case.options))
    assert document["row"] == case.row, document
    if case.better is None:
        assert document["better"] is None
    else:
        assert case.better in document["better"]["change"]


def _volume(folder: Path, path: str, text: str) -> list[str]:
    file = folder / path.rpartition("/")[2]
    file.write_text(text)
    return ["--volume", f"{file}:{path}:ro"]


def _helpers(folder: Path, *, setuid: bool) -> Path:
    """Return a folder with newuidmap and newgidmap, setuid or with the capability that each needs."""
    folder.mkdir()
    for name, capability in (("newuidmap", 7), ("newgidmap", 6)):  # CAP_SETUID, CAP_SETGID
        path = folder / name
        shutil.copyfile(require_peer(name), path)
        path.chmod(0o4755 if setuid else 0o755)
        if not setuid:
            # struct vfs_cap_data of revision 2, with the effective bit
            os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << capability, 0, 0, 0))
    return folder


def _store(folder: Path) -> list[str]:
    store = folder / "store"
    store.mkdir()
    store.chmod(0o1777)
    return ["--volume", f"{store}:/store"]


def test_store_in_the_container_itself_is_on_an_overlay(docker: Docker, image: str) -> None:
    document = _document(_doctor(docker, image, *NO_FILTER, *ALL_OF_PROC, root="/tmp/store"))
    assert (document["row"], document["snapshotter"]) == ("range", "copy")
    assert "--root DIR, on a volume" in document["better"]["change"]


def test_user_who_may_write_nowhere_for_a_store_is_told_so(docker: Docker, image: str) -> None:
    document = _document(_doctor(docker, image, *USER))
    assert (document["row"], document["possible"]) == ("proot", False)
