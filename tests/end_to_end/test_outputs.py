"""``build --output``: each kind of output, several of one build, and in which form layers are written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Built, Program

TEXT = """\
FROM {base}
RUN mkdir -p /made/below && echo content > /made/file && ln /made/file /made/hard && ln -s /etc/passwd /made/soft \\
 && mkfifo /made/pipe && chmod 4755 /made/file && chown 33:44 /made/below && chmod 555 /made/below \\
 && chown -h 7:8 /made/soft
COPY file /copied
CMD ["cat", "/made/file"]
"""


@dataclass(frozen=True, slots=True)
class Bench:
    program: Program
    context: Path

    @property
    def folder(self) -> Path:
        return self.program.user.home

    def build(self, *outputs: str, words: tuple[str, ...] = (), root: Path | None = None) -> Built:
        options = [word for output in outputs for word in ("-o", output)]
        return self.program.build(self.context, *options, *words, root=root)

    def inspect(self, name: str, form: str, root: Path | None = None) -> Any:
        where = ("--root", root) if root else ()
        return json.loads(self.program.check(*where, "inspect", "-f", form, name))


@pytest.fixture(scope="module")
def bench(shared: Program, busybox_base: str) -> Bench:
    return Bench(shared, shared.context("outputs", {"Dockerfile": TEXT.format(base=busybox_base), "file": "copied\n"}))


def _layers_of(path: Path) -> list[dict[str, Any]]:
    """Return the descriptors of the layers of the only image of a layout, or of an archive of one."""

    def read(name: str) -> Any:
        if path.is_dir():
            return json.loads((path / name).read_bytes())
        with tarfile.open(path) as tar:
            return json.loads((tar.extractfile(name) or io.BytesIO()).read())

    manifest = read("index.json")["manifests"][0]["digest"]
    layers: list[dict[str, Any]] = read(f"blobs/sha256/{manifest[7:]}")["layers"]
    return layers


def test_several_outputs_come_of_one_build(bench: Bench) -> None:
    folder = bench.folder
    outputs = [
        f"type=oci,dest={folder}/several.oci",
        f"type=docker,dest={folder}/several.docker",
        f"type=oci,tar=false,dest={folder}/several.layout",
        f"type=tar,dest={folder}/several.tar",
        f"type=local,dest={folder}/several.files",
    ]
    built = bench.build(*outputs, words=("-t", "several:1", "-t", "team/several:2"))
    for name in ("several.oci", "several.docker", "several.layout"):
        bench.program.check("validate", folder / name)
        root = folder / f"of-{name}"
        said = bench.program.check("--root", root, "load", "-q", "-i", folder / name)
        assert said == "Loaded image: several:1\nLoaded image: team/several:2\n"
        assert bench.inspect("several:1", "{{json .Id}}", root) == built.image_id
    assert bench.inspect("team/several:2", "{{json .Id}}") == built.image_id
    assert (folder / "several.files/copied").read_text() == "copied\n"


def test_names_of_an_output_go_before_those_of_the_build(bench: Bench) -> None:
    archive = bench.folder / "named.tar"
    bench.build(f"type=docker,dest={archive},name=own:1", words=("-t", "named:1"))
    root = bench.folder / "of-named"
    assert bench.program.check("--root", root, "load", "-q", "-i", archive) == "Loaded image: own:1\n"


def test_a_tar_has_the_files_as_the_image_has_them(bench: Bench, busybox_base: str) -> None:
    bench.build(f"type=tar,dest={bench.folder}/whole.tar")
    with tarfile.open(bench.folder / "whole.tar") as tar:
        members = {member.name: member for member in tar}
    assert members["made/below"].uid == 33
    assert members["made/below"].gid == 44
    assert members["made/below"].mode == 0o555
    assert members["made/file"].mode == 0o4755
    assert members["made/hard"].linkname == "made/file"
    assert members["made/soft"].linkname == "/etc/passwd"
    assert members["made/soft"].uid == 7
    assert members["made/pipe"].isfifo()
    assert "bin/busybox" in members or "usr/bin/busybox" in members
    assert list(members) == sorted(members, key=lambda name: [os.fsencode(part) for part in name.split("/")])


def test_a_tar_of_all_files_is_the_image_again(bench: Bench) -> None:
    """What ``-o type=tar`` writes, ``import`` takes: the tree is the same, entry by entry."""
    bench.build(f"type=tar,dest={bench.folder}/again.tar")
    bench.program.check("import", "-q", bench.folder / "again.tar", "again:1")
    context = bench.program.context("again", {"Dockerfile": "FROM again:1\n"})
    bench.program.build(context, "-o", f"type=tar,dest={bench.folder}/twice.tar")
    assert (bench.folder / "twice.tar").read_bytes() == (bench.folder / "again.tar").read_bytes()


def test_a_tar_goes_to_stdout(bench: Bench) -> None:
    script = '"$1" build -q -o - "$2" > "$3" && "$1" build -q -o type=oci,dest=- "$2" | tar t | head -2'
    path = bench.folder / "stdout.tar"
    program = bench.program.user.programs / "ocibuild"
    result = bench.program.user.run("sh", "-c", script, "sh", program, bench.context, path)
    assert result.stdout == "oci-layout\nindex.json\n", result.stderr
    bench.build(f"type=tar,dest={bench.folder}/named-stdout.tar")
    assert path.read_bytes() == (bench.folder / "named-stdout.tar").read_bytes()


def test_a_folder_has_the_files(bench: Bench) -> None:
    out = bench.folder / "out"
    built = bench.program.build(bench.context, "-o", out)
    made = out / "made"
    assert (made / "file").read_text() == "content\n"
    assert (made / "file").stat().st_ino == (made / "hard").stat().st_ino
    assert (made / "file").stat().st_mode & 0o7777 == 0o4755
    assert os.readlink(made / "soft") == "/etc/passwd"
    assert (made / "below").stat().st_mode & 0o777 == 0o555
    assert (made / "pipe").is_fifo()
    uid = bench.program.user.account.uid
    if uid == 0:
        assert ((made / "below").stat().st_uid, (made / "below").stat().st_gid) == (33, 44)
        assert (made / "soft").lstat().st_uid == 7
        assert "WARNING" not in built.stderr
    else:  # of files that belong to IDs of its range the user could not even remove the folder
        assert {path.lstat().st_uid for path in out.rglob("*")} == {uid}
        assert f"{out}: " in built.stderr
        assert "files belong to you instead of their owners" in built.stderr


def test_a_folder_that_is_there_is_filled_and_no_link_in_it_followed(bench: Bench) -> None:
    """An image may have put links there before: what comes now goes nowhere else."""
    out = bench.program.context("filled", {"mine": "stays\n", "copied/in-the-way": "goes\n"})
    outside = bench.program.context("outside", {"passwd": "untouched\n"})
    (out / "made").symlink_to(outside)
    (out / "etc").symlink_to(outside)
    bench.build(f"type=local,dest={out}")
    bench.build(f"type=local,dest={out}")
    assert (out / "mine").read_text() == "stays\n"
    assert (out / "copied").read_text() == "copied\n"
    assert not (out / "made").is_symlink()
    assert not (out / "etc").is_symlink()
    assert (out / "made/below").stat().st_mode & 0o777 == 0o555
    assert [path.name for path in outside.iterdir()] == ["passwd"]
    assert (outside / "passwd").read_text() == "untouched\n"


def test_where_only_files_are_wanted_there_is_no_image(bench: Bench) -> None:
    root = bench.folder / "no-image"
    bench.build(f"type=local,dest={bench.folder}/only-files", words=("-t", "only:1"), root=root)
    bench.build("type=cacheonly", root=root)
    assert "only" not in bench.program.check("--root", root, "images")
    assert bench.program.build(bench.context, root=root).cached("RUN")


COMPRESSIONS = {
    "zstd": ("compression=zstd", "+zstd", "+gzip"),
    "all zstd": ("compression=zstd,force-compression=true", "+zstd", "+zstd"),
    "uncompressed": ("compression=uncompressed", ".tar", "+gzip"),
    "all uncompressed": ("compression=uncompressed,force-compression=true", ".tar", ".tar"),
    "gzip at its best": ("compression-level=9", "+gzip", "+gzip"),
    "docker's types": ("oci-mediatypes=false", "diff.tar.gzip", "diff.tar.gzip"),
    "docker's types of zstd": ("oci-mediatypes=false,compression=zstd", "diff.tar.zstd", "diff.tar.gzip"),
}


@pytest.mark.parametrize(("asked", "own", "base"), COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_layers_are_compressed_as_asked(bench: Bench, asked: str, own: str, base: str) -> None:
    """Those that were built, and the base's where that is insisted on; the image ID stays."""
    layout = bench.folder / f"layout-{asked.replace(',', '-')}"
    plain = bench.program.build(bench.context).image_id
    built = bench.build(f"type=oci,tar=false,dest={layout},{asked}")
    assert built.image_id == plain
    types = [layer["mediaType"] for layer in _layers_of(layout)]
    assert [kind.endswith(own) for kind in types[-2:]] == [True, True], types
    assert types[0].endswith(base), types
    bench.program.check("validate", layout)
    root = bench.folder / f"run-{asked.replace(',', '-')}"
    bench.program.check("--root", root, "load", "-q", "-i", layout)
    (name,) = bench.program.check("--root", root, "images", "-q").split()
    assert bench.program.check("--root", root, "run", name) == "content\n"


def test_more_work_gives_less_bytes(bench: Bench) -> None:
    sizes = {}
    for level in ("0", "1", "9"):
        layout = bench.folder / f"level-{level}"
        bench.build(f"type=oci,tar=false,dest={layout},compression-level={level},force-compression=true")
        sizes[level] = sum(layer["size"] for layer in _layers_of(layout))
    assert sizes["0"] > sizes["1"] > sizes["9"]


def test_the_store_has_the_form_that_was_asked_for(bench: Bench) -> None:
    root = bench.folder / "formed"
    bench.build("type=image,name=formed:1,compression=zstd,annotation.a=b", root=root)
    descriptor = bench.inspect("formed:1", "{{json .Descriptor}}", root)
    manifest = json.loads((root / "blobs/sha256" / descriptor["digest"][7:]).read_bytes())
    assert manifest["annotations"] == {"a": "b"}
    assert manifest["layers"][-1]["mediaType"].endswith("+zstd")
    assert len(bench.program.check("--root", root, "images", "-q", "formed").split()) == 1
    assert bench.program.check("--root", root, "images", "-q", "--filter", "dangling=true") == ""
    assert bench.program.check("--root", root, "run", "formed:1") == "content\n"


def test_what_is_pushed_has_the_form_that_was_asked_for(bench: Bench, registry: str) -> None:
    skopeo = require_peer("skopeo")
    name = f"{registry}/outputs/{bench.program.user.account.name}"
    metadata = bench.folder / "metadata.json"
    bench.build(
        f"type=registry,name={name}:zstd,compression=zstd",
        f"type=image,push=true,name={name}:plain",
        f"type=registry,name={name}:docker,oci-mediatypes=false",
        words=("--metadata-file", str(metadata)),
    )
    shown = {}
    for tag in ("zstd", "plain", "docker"):
        words = [skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{name}:{tag}"]
        shown[tag] = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert shown["zstd"]["layers"][-1]["mediaType"].endswith("+zstd")
    assert shown["plain"]["layers"][-1]["mediaType"].endswith("+gzip")
    assert shown["docker"]["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {one["config"]["digest"] for one in shown.values()} == {
        json.loads(metadata.read_bytes())["containerimage.config.digest"]
    }


EPOCH = "1000000000"


@pytest.mark.parametrize("way", [("--executor", "proot"), ("--snapshotter", "copy")], ids=["proot", "copy"])
def test_two_builds_in_two_stores_are_the_same_image(bench: Bench, way: tuple[str, str]) -> None:
    """With SOURCE_DATE_EPOCH and times bounded by it, whatever the executor."""
    rewriting = "rewrite-timestamp=true"
    words = ("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "--no-cache")
    paths = [bench.folder / f"reproduced-{way[1]}-{number}.tar" for number in "12"]
    one = bench.build(f"type=oci,dest={paths[0]},{rewriting}", words=words)
    bench.program.context("outputs", {"Dockerfile": (bench.context / "Dockerfile").read_text(), "file": "copied\n"})
    two = bench.build(
        f"type=oci,dest={paths[1]},{rewriting}", words=(*words, *way), root=bench.folder / f"elsewhere-{way[1]}"
    )
    assert one.image_id == two.image_id
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as tar:
        newest = _layers_of(paths[0])[-2]["digest"]
        blob = tar.extractfile(f"blobs/sha256/{newest[7:]}")
        assert blob
        with tarfile.open(fileobj=blob, mode="r:gz") as layer:
            assert {member.mtime for member in layer if member.name.startswith("made")} == {int(EPOCH)}


def test_an_image_of_copies_and_config_is_the_same_without_any_flag(bench: Bench) -> None:
    context = bench.program.context("copies", {"Dockerfile": "FROM scratch\nCOPY f /f\nENV A=b\n", "f": "x"})
    for path in (context / "f", context):
        os.utime(path, (5, 5))
    roots = [bench.folder / f"copies-{number}" for number in "12"]
    digests = set()
    for root in roots:
        bench.program.build(context, "-t", "copies:1", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", root=root)
        digests.add(bench.inspect("copies:1", "{{json .Descriptor.digest}}", root))
    assert len(digests) == 1


REFUSED = {
    "two outputs to one file": (["type=oci,dest=same.tar", "type=docker,dest=same.tar"], 2, "the same dest="),
    "a folder that is a file": (["type=local,dest=outputs/file"], 1, "is no folder"),
    "a file that is a folder": (["type=tar,dest=outputs"], 1, "is a folder"),
    "no folder for it": (["type=docker,dest=no/such/folder.tar"], 1, "there is no folder"),
    "times without a time": (["type=image,rewrite-timestamp=true"], 2, "needs a time"),
    "annotations for docker": (["type=image,oci-mediatypes=false,annotation.a=b"], 2, "have no annotations"),
    "a push without a name": (["type=registry,compression=zstd"], 2, "cannot be pushed"),
}


@pytest.mark.parametrize(("outputs", "status", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_one_line(bench: Bench, outputs: list[str], status: int, problem: str) -> None:
    options = [word for output in outputs for word in ("-o", output)]
    result = bench.program.run("build", "-q", *options, bench.context)
    assert result.returncode == status, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("ocibuild: ")]
    assert problem in line
    assert result.stdout == ""


def test_a_full_disk_leaves_no_tar(bench: Bench) -> None:
    script = """\
mkdir "$2" && mount -t tmpfs -o size=256k none "$2" || exit 99
"$1" build -q -o "type=tar,dest=$2/t" "$3"
ls -A "$2"
"""
    words = (bench.program.user.programs / "ocibuild", bench.folder / "small", bench.context)
    result = bench.program.user.run("unshare", "-rm", "sh", "-c", script, "sh", *words)
    assert result.stdout == "", result.stdout + result.stderr
    assert "no space left" in result.stderr.lower()


DIFFERENT = {
    "a time": ("RUN sleep 1.1; echo same > /same", False, "same: its time is"),
    "content": ("RUN cat /proc/sys/kernel/random/uuid > /once", True, "once: its content"),
    "a name": ("RUN touch /$(cat /proc/sys/kernel/random/uuid)", True, "is in one alone"),
}


@pytest.mark.parametrize(("step", "bounded", "problem"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_build_that_cannot_be_repeated_is_told_by_its_first_difference(
    bench: Bench, busybox_base: str, step: str, bounded: bool, problem: str
) -> None:
    context = bench.program.context("repeated", {"Dockerfile": f"FROM {busybox_base}\n{step}\n"})
    archive = bench.folder / "repeated.tar"
    archive.unlink(missing_ok=True)
    rewriting = ",rewrite-timestamp=true" if bounded else ""
    words = ("-o", f"type=oci,dest={archive}{rewriting}", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}")
    built = bench.program.try_build(context, "--verify-reproducible", "-t", "unrepeatable:1", *words)
    assert built.status == 1
    (line,) = built.errors
    assert line.startswith("ocibuild: a second build is not the same image: layer 2 (RUN /bin/sh -c ")
    assert problem in line
    assert ("bound all times" in line) != bounded
    assert not archive.exists()
    assert "unrepeatable" not in bench.program.check("images")


def test_a_build_that_can_be_repeated_is_written(bench: Bench, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN echo same > /same\nCOPY f /new/f\n"
    context = bench.program.context("repeatable", {"Dockerfile": text, "f": "x"})
    archive = bench.folder / "repeatable.tar"
    words = ("-o", f"type=oci,dest={archive},rewrite-timestamp=true", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}")
    built = bench.program.build(context, "--verify-reproducible", "-t", "repeatable:1", *words)
    assert archive.exists()
    assert len(built.stdout.split()) == 1
    assert "repeatable" in bench.program.check("images")
    without = bench.program.try_build(context, "--verify-reproducible")
    assert without.status == 1
    assert "SOURCE_DATE_EPOCH and rewrite-timestamp=true" in without.errors[0]
