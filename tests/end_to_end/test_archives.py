"""``save``, ``load`` and ``import``: archives of images out of the store and into it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.program import Program

TEXT = """\
FROM {base}
RUN echo made > /made
CMD ["cat", "/made"]
"""
FORMS = ["docker-archive", "oci-archive", "oci-dir"]
PACKERS = {"gzip": ["gzip"], "bzip2": ["bzip2"], "xz": ["xz"], "zstd": ["zstd", "-q"]}


@dataclass(frozen=True, slots=True)
class Desk:
    """A store with the images ``saved:1`` (``image_id``), which is ``team/saved:2`` too, and ``other``."""

    program: Program
    image_id: str

    @property
    def folder(self) -> Path:
        return self.program.user.home

    def save(self, name: str, *words: str) -> Path:
        """Save images into a new file, or folder, and return its path."""
        path = self.folder / name
        self.program.check("save", "-o", path, *words)
        return path

    def load(self, store: str, *words: str | Path) -> str:
        """Load into an empty store, and return what it says."""
        root = self.folder / store
        shutil.rmtree(root, ignore_errors=True)
        return self.program.check("--root", root, "load", "-q", *words)

    def refused(self, *words: str | Path, stdin: str = "", status: int = 1) -> str:
        result = self.program.run("--root", self.folder / "refusing", *words, stdin=stdin)
        assert result.returncode == status, result.stderr
        (line,) = [line for line in result.stderr.splitlines() if line and not line.startswith("#")]
        assert line.startswith("ocibuild: ")
        assert self.program.check("--root", self.folder / "refusing", "images", "-q") == ""
        return line


@pytest.fixture(scope="module")
def desk(shared: Program, busybox_base: str) -> Desk:
    context = shared.context("archives", {"Dockerfile": TEXT.format(base=busybox_base)})
    image_id = shared.build(context, "-t", "saved:1", "-t", "team/saved:2").image_id
    shared.build(shared.context("other", {"Dockerfile": f"FROM {busybox_base}\nCMD echo other\n"}), "-t", "other")
    return Desk(shared, image_id)


def test_two_images_with_one_tag_are_told_apart_in_a_layout(desk: Desk) -> None:
    """By their full names: of equal tags skopeo takes the first, and umoci none."""
    skopeo = require_peer("skopeo")
    desk.program.check("tag", "saved:1", "third:latest")
    layout = desk.save("same-tags", "--format", "oci-dir", "other", "third", "team/saved:2")
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]
    assert names == ["docker.io/library/other:latest", "docker.io/library/third:latest", "2"]
    for name in ("other", "third"):
        words = (skopeo, "inspect", "--config", f"oci:{layout}:docker.io/library/{name}:latest")
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert ("echo other" in shown) == (name == "other")
    desk.load("told-apart", "-i", layout)
    found = desk.program.check("--root", desk.folder / "told-apart", "images", "--format", "{{.Repository}}:{{.Tag}}")
    assert sorted(found.split()) == ["other:latest", "team/saved:2", "third:latest"]
    desk.program.check("rmi", "third:latest")


def test_a_stream_that_is_full_or_closed_is_said(desk: Desk) -> None:
    for command, problem in (
        ("save saved:1 > /dev/full", "standard output: No space left"),
        ("load <&-", "standard input"),
    ):
        result = desk.program.user.run("sh", "-c", f"ocibuild {command}")
        (line,) = [line for line in result.stderr.splitlines() if line and not line.startswith("#")]
        assert result.returncode == 1
        assert line.startswith(f"ocibuild: {problem}")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_saved_is_loaded_with_its_names(desk: Desk, form: str) -> None:
    path = desk.save(f"several-{form}", "--format", form, "saved:1", "other", "team/saved:2")
    assert desk.load("loaded", "-i", path) == (
        "Loaded image: saved:1\nLoaded image: team/saved:2\nLoaded image: other:latest\n"
    )
    store = desk.folder / "loaded"
    assert desk.program.check("--root", store, "inspect", "-f", "{{.Id}}", "team/saved:2").strip() == desk.image_id
    assert desk.program.check("--root", store, "run", "saved:1") == "made\n"
    assert desk.program.check("--root", store, "run", "other") == "other\n"
    desk.program.check("--root", store, "validate", "saved:1")
    desk.program.check("validate", path)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_images_give_the_same_archive(desk: Desk, form: str) -> None:
    for number in "12":
        desk.program.context(number, {})
    one, two = (desk.save(f"{number}/same", "--format", form, "saved:1", "other") for number in ("1", "2"))
    contents = [
        {file.name: file.read_bytes() for file in (path, *path.rglob("*")) if file.is_file()} for path in (one, two)
    ]
    assert contents[0]
    assert contents[0] == contents[1]


def test_an_image_without_a_name_is_loaded_by_its_id(desk: Desk) -> None:
    path = desk.save("nameless.tar", desk.image_id)
    assert desk.load("nameless", "-i", path) == f"Loaded image ID: {desk.image_id}\n"


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_an_archive_may_be_compressed_and_come_through_a_pipe(desk: Desk, packer: list[str]) -> None:
    """As in ``ocibuild save | gzip | ssh elsewhere ocibuild load``."""
    require_peer(packer[0])
    packed = desk.folder / f"packed.{packer[0]}"
    ocibuild = desk.program.user.programs / "ocibuild"
    script = f'"$1" save saved:1 | {" ".join(packer)} > "$2" && cat "$2" | "$1" --root "$3" load -q && cat "$2" | wc -c'
    result = desk.program.user.run("sh", "-c", script, "sh", ocibuild, packed, desk.folder / f"piped-{packer[0]}")
    assert result.stdout.splitlines()[0] == "Loaded image: saved:1", result.stderr
    assert desk.load("from-file", "-i", packed) == "Loaded image: saved:1\n"


def test_of_an_index_all_images_are_saved_or_the_one_that_is_asked_for(desk: Desk) -> None:
    skopeo = require_peer("skopeo")
    single = desk.save("single.tar", "--format", "oci-archive", "saved:1")
    layout = desk.folder / "index-layout"
    subprocess.run([skopeo, "copy", f"oci-archive:{single}", f"oci:{layout}:one"], check=True, capture_output=True)
    index = json.loads((layout / "index.json").read_bytes())
    (entry,) = index["manifests"]
    inner = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**entry, "annotations": {}, "platform": {"os": "linux", "architecture": "amd64"}}],
    }
    data = json.dumps(inner).encode()
    digest = sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    index["manifests"] = [
        {
            "mediaType": inner["mediaType"],
            "digest": f"sha256:{digest}",
            "size": len(data),
            "annotations": {"io.containerd.image.name": "docker.io/library/both:1"},
        }
    ]
    (layout / "index.json").write_text(json.dumps(index))
    desk.program.user.give(layout)
    assert desk.program.check("load", "-q", "-i", layout) == "Loaded image: both:1\n"
    desk.program.check("tag", "both:1", "again:1")
    whole, alone = desk.save("whole.tar", "--format", "oci-archive", "again:1"), desk.save("alone.tar", "both:1")
    with tarfile.open(whole) as tar:
        assert f"blobs/sha256/{digest}" in tar.getnames()
    with tarfile.open(alone) as tar:
        assert f"blobs/sha256/{digest}" not in tar.getnames()
    assert desk.load("from-alone", "-i", alone) == "Loaded image: both:1\n"
    missing = desk.program.run("save", "-o", desk.folder / "none.tar", "--platform", "linux/arm64", "both:1")
    assert missing.returncode == 1
    assert "linux/arm64" in missing.stderr
    assert not (desk.folder / "none.tar").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _changed(path: Path) -> None:
    """Change one byte in the middle of a layer."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _of_files(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("etc/passwd"), io.BytesIO())


def _with_bad_name(path: Path) -> None:
    with tarfile.open(path) as tar:
        members = [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar if member.isfile()]
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            if member.name == "index.json":
                continue
            if member.name == "oci-layout":
                continue
            changed = data.replace(b"saved:1", b"SAVED:1") if member.name == "manifest.json" else data
            member.size = len(changed)
            tar.addfile(member, io.BytesIO(changed))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (_cut, "cut short"),
    "changed": (_changed, "sha256:"),
    "empty": (lambda path: path.write_bytes(b""), "broken.tar"),
    "text": (lambda path: path.write_text("no archive at all\n" * 100), "broken.tar"),
    "a tar of other files": (_of_files, "neither a manifest.json nor an oci-layout"),
    "a name that is none": (_with_bad_name, "must be lower case"),
    "half a gzip": (lambda path: path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\3abc"), "damaged or ends too early"),
    "not there": (lambda path: path.unlink(), "No such file or directory"),
}


@pytest.mark.parametrize(("spoil", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_one_line_and_leaves_no_image(
    desk: Desk, spoil: Callable[[Path], object], problem: str
) -> None:
    path = desk.save("broken.tar", "saved:1")
    spoil(path)
    line = desk.refused("load", "-i", path)
    assert problem in line
    assert "broken.tar" in line


def test_what_cannot_be_saved_leaves_nothing(desk: Desk) -> None:
    refused = [
        (("save", "-o", desk.folder / "not.tar", "saved:1", "absent"), 1, "absent:latest: no such image"),
        (("save", "-o", desk.folder, "saved:1"), 1, "Is a directory"),
        (("save", "-o", desk.folder / "no/where.tar", "saved:1"), 1, "No such file or directory"),
        (("save", "--format", "oci-dir", "saved:1"), 2, "oci-dir is a folder"),
        (("save", "--format", "docker-dir", "saved:1"), 2, "docker-dir"),
        (("save", "--format", "oci-dir", "-o", desk.folder / "archives", "saved:1"), 1, "not an OCI layout"),
        (("save", "--compress", "saved:1"), 2, "--compress is not supported"),
    ]
    for words, status, problem in refused:
        result = desk.program.run(*words)
        assert (result.returncode, problem in result.stderr) == (status, True), result.stderr
        assert "Traceback" not in result.stderr
    assert not (desk.folder / "not.tar").exists()


def test_a_full_disk_leaves_no_archive(desk: Desk) -> None:
    script = """\
mkdir "$2" && mount -t tmpfs -o size=256k none "$2" || exit 99
"$1" save -o "$2/big.tar" saved:1
echo status $?
ls -A "$2"
"""
    command = (
        "unshare",
        "-rm",
        "sh",
        "-c",
        script,
        "sh",
        desk.program.user.programs / "ocibuild",
        desk.folder / "small",
    )
    result = desk.program.user.run(*command)
    assert result.stdout == "status 1\n", result.stdout + result.stderr
    assert "no space left on the device" in result.stderr.lower() or "No space left" in result.stderr


@pytest.fixture(scope="module")
def tree(desk: Desk) -> Path:
    """A tar of a root file system."""
    path = desk.folder / "tree.tar"
    root = desk.folder / "tree-store"
    desk.program.check("--root", root, "load", "-q", "-i", desk.save("tree-image.tar", "saved:1"))
    layer = json.loads(desk.program.check("--root", root, "inspect", "saved:1"))[0]["Descriptor"]["digest"]
    manifest = json.loads((root / "blobs/sha256" / layer[7:]).read_bytes())
    base = root / "blobs/sha256" / manifest["layers"][0]["digest"][7:]
    with path.open("wb") as file, base.open("rb") as packed:
        subprocess.run(["gzip", "-dc"], stdin=packed, stdout=file, check=True)
    return desk.program.user.give(path)


def test_a_tar_of_files_becomes_an_image(desk: Desk, tree: Path) -> None:
    changes = ("-c", 'CMD ["sh", "-c", "echo $WORD"]', "--change", "ENV WORD=imported", "-c", "EXPOSE 6379")
    image_id = desk.program.check("import", "-q", *changes, "-m", "by hand", tree, "imported:1").strip()
    shown = json.loads(desk.program.check("inspect", "imported:1"))[0]
    assert shown["Id"] == image_id
    assert shown["Comment"] == "by hand"
    assert shown["Config"]["Env"] == ["WORD=imported"]
    assert shown["Config"]["ExposedPorts"] == {"6379/tcp": {}}
    assert len(shown["RootFS"]["Layers"]) == 1
    assert desk.program.check("run", "imported:1") == "imported\n"
    desk.program.check("validate", "imported:1")


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_a_compressed_tar_through_a_pipe_is_the_same_layer(desk: Desk, tree: Path, packer: list[str]) -> None:
    plain = desk.program.check("import", "-q", tree).strip()
    script = f'{" ".join(packer)} -c < "$2" | "$1" import -q -'
    result = desk.program.user.run("sh", "-c", script, "sh", desk.program.user.programs / "ocibuild", tree)
    assert result.returncode == 0, result.stderr
    layers = [desk.program.check("inspect", "-f", "{{.RootFS.Layers}}", one) for one in (plain, result.stdout.strip())]
    assert layers[0] == layers[1]


def _tar_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        tar.addfile(member)


NO_TREES: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("no tar at all\n" * 100), "broken-tree.tar"),
    "a name that leads out": (lambda path: _tar_of(path, "../../outside"), "outside"),
    "not there": (lambda path: path.unlink(missing_ok=True), "No such file or directory"),
}


@pytest.mark.parametrize(("spoil", "problem"), NO_TREES.values(), ids=NO_TREES)
def test_what_is_no_tree_becomes_no_image(desk: Desk, spoil: Callable[[Path], object], problem: str) -> None:
    path = desk.folder / "broken-tree.tar"
    spoil(path)
    assert problem in desk.refused("import", path, "hostile:1")
    store = desk.folder / "refusing"
    assert not any((above / "outside").exists() for above in (store, *store.parents))


def test_wrong_words_of_import_are_refused_before_anything_is_read(desk: Desk) -> None:
    assert "RUN true" in desk.refused("import", "-c", "RUN true", "absent.tar", status=2)
    assert "UPPER" in desk.refused("import", "absent.tar", "UPPER")
    assert "an address is not supported" in desk.refused("import", "http://example.org/a.tar", status=2)
