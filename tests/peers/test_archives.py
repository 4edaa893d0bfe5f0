"""Archives that ocibuild saves are loaded and run by others, and theirs by ocibuild."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer, require_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.podman import Podman
    from tests.support.docker import Docker
    from tests.support.program import Program

TEXT = """\
FROM {base}
RUN echo made > /made && chmod 4755 /made && ln /made /hard && ln -s made /soft
ENTRYPOINT ["cat"]
CMD ["/hard"]
"""
FORMS = ["docker-archive", "oci-archive", "oci-dir"]


@pytest.fixture(scope="module")
def image(shared: Program, busybox_base: str) -> str:
    """Build an image, which has two names of this one's kind, and return the first."""
    context = shared.context("peers-archives", {"Dockerfile": TEXT.format(base=busybox_base)})
    name = f"example.org/peers/archive:{shared.user.account.name}"
    shared.build(context, "-t", name, "-t", f"{name}-too")
    return name


@pytest.fixture(scope="module")
def saved(shared: Program, image: str) -> dict[str, Path]:
    """Save it in every form."""
    found = {form: shared.user.home / f"peers-{form}" for form in FORMS}
    for form, path in found.items():
        shared.check("save", "--format", form, "-o", path, image, f"{image}-too")
    return found


def _run(*words: str | Path) -> str:
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
    return result.stdout


def _loaded_here(shared: Program, path: Path, name: str) -> None:
    """Load an archive into a store of its own, and run what came."""
    root = shared.user.home / f"from-{path.name}"
    shared.user.give(path)
    assert name in shared.check("--root", root, "load", "-q", "-i", path)
    assert shared.check("--root", root, "run", name) == "made\n"
    shared.check("--root", root, "validate", name)


def test_docker_loads_and_runs_what_is_saved(
    docker: Docker, shared: Program, saved: dict[str, Path], image: str
) -> None:
    said = docker("load", "-i", str(saved["docker-archive"]))
    assert set(said.splitlines()) == {f"Loaded image: {image}", f"Loaded image: {image}-too"}
    assert docker("run", "--rm", "--network", "none", image) == "made"
    assert docker("inspect", "-f", "{{.Id}}", image) == shared.check("inspect", "-f", "{{.Id}}", image).strip()


def test_what_docker_saves_is_loaded_and_run(
    docker: Docker, shared: Program, saved: dict[str, Path], image: str
) -> None:
    docker("load", "-i", str(saved["docker-archive"]))
    path = shared.user.home / "docker.tar"
    docker("save", "-o", str(path), image)
    _loaded_here(shared, path, image)


@pytest.mark.parametrize("form", FORMS)
def test_podman_loads_and_runs_what_is_saved(podman: Podman, shared: Program, image: str, form: str) -> None:
    """Of a layout podman takes one name and no more, and to an image of a folder it gives one of its own."""
    path = shared.user.home / f"for-podman-{form}"
    shared.check("save", "--format", form, "-o", path, image)
    name = podman("load", "-i", path).rpartition("Loaded image: ")[2]
    assert name == image or form == "oci-dir"
    assert podman.run(name) == "made"
    podman("rmi", "--all", "--force")


@pytest.mark.parametrize("form", [*FORMS, "compressed"])
def test_what_podman_saves_is_loaded_and_run(
    podman: Podman, shared: Program, saved: dict[str, Path], image: str, form: str
) -> None:
    podman("load", "-i", saved["docker-archive"])
    path = shared.user.home / f"podman-{form}"
    podman("save", "--format", "docker-archive" if form == "compressed" else form, "-o", path, image)
    podman("rmi", "--all", "--force")
    if form == "compressed":
        _run("gzip", path)
        path = path.with_name(f"{path.name}.gz")
    _loaded_here(shared, path, image)


def test_skopeo_copies_each_of_several_images(saved: dict[str, Path], image: str, tmp_path: Path) -> None:
    skopeo = require_peer("skopeo")
    tag = image.rpartition(":")[2]
    for number, source in enumerate(
        (
            f"docker-archive:{saved['docker-archive']}:{image}",
            f"docker-archive:{saved['docker-archive']}:{image}-too",
            f"oci-archive:{saved['oci-archive']}:{tag}-too",
            f"oci:{saved['oci-dir']}:{tag}",
        )
    ):
        _run(skopeo, "copy", source, f"dir:{tmp_path}/{number}")


def test_what_skopeo_writes_for_docker_is_loaded_and_run(shared: Program, saved: dict[str, Path], image: str) -> None:
    skopeo = require_peer("skopeo")
    path = shared.user.home / "skopeo.tar"
    _run(skopeo, "copy", f"docker-archive:{saved['docker-archive']}:{image}", f"docker-archive:{path}:{image}")
    _loaded_here(shared, path, image)


def test_umoci_unpacks_a_saved_layout(saved: dict[str, Path], image: str, tmp_path: Path) -> None:
    require_root()
    tag = image.rpartition(":")[2]
    _run(require_peer("umoci"), "unpack", "--image", f"{saved['oci-dir']}:{tag}", tmp_path / "bundle")
    made = tmp_path / "bundle/rootfs/made"
    assert made.read_text() == "made\n"
    assert made.stat().st_mode & 0o7777 == 0o4755
    assert made.stat().st_nlink == 2


def test_buildah_builds_on_a_saved_archive(saved: dict[str, Path], image: str, tmp_path: Path) -> None:
    require_root()
    buildah = require_peer("buildah")
    store = ("--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
    tag = image.rpartition(":")[2]
    for source in (f"docker-archive:{saved['docker-archive']}:{image}", f"oci-archive:{saved['oci-archive']}:{tag}"):
        container = _run(buildah, *store, "from", source).strip()
        assert (
            _run("unshare", "--mount", buildah, *store, "run", "--isolation", "chroot", container, "cat", "/soft")
            == "made\n"
        )
        _run(buildah, *store, "rm", container)


def test_docker_imports_as_ocibuild_does(docker: Docker, shared: Program, busybox_base: str) -> None:
    """A tree that docker exports; the layer has the same diff ID, and the config says the same."""
    docker("pull", "--quiet", busybox_base)
    container = docker("create", busybox_base, "true")
    path = shared.user.home / "exported.tar"
    docker("export", "-o", str(path), container)
    docker("rm", container)
    shared.user.give(path)
    changes = ("-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", "-c", "LABEL c=d", "-m", "by hand")
    docker("import", *changes, str(path), "imported:1")
    shared.check("import", "-q", *changes, path, "imported:1")
    assert shared.check("run", "imported:1") == "imported\n"
    for form in ("{{json .RootFS}}", "{{json .Config.Env}}{{json .Config.Cmd}}{{json .Config.Labels}}", "{{.Comment}}"):
        ours, theirs = shared.check("inspect", "-f", form, "imported:1"), docker("inspect", "-f", form, "imported:1")
        assert ours.strip() == theirs


ENCODINGS = {
    "as it is": "",
    "uncompressed": ",compression=uncompressed,force-compression=true",
    "docker's types": ",oci-mediatypes=false",
    "gzip at its best": ",compression-level=9,force-compression=true",
    "zstd": ",compression=zstd,force-compression=true",
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_what_a_build_writes_for_docker_is_loaded_and_run(
    docker: Docker, podman: Podman, shared: Program, image: str, encoding: str
) -> None:
    """Debian's docker is from before zstd."""
    path = shared.user.home / "built.tar"
    shared.build(shared.user.home / "peers-archives", "-o", f"type=docker,dest={path},name={image}{encoding}")
    assert image in podman("load", "-i", path)
    assert podman.run(image) == "made"
    podman("rmi", "--all", "--force")
    if "zstd" not in encoding:
        docker("load", "-i", str(path))
        assert docker("run", "--rm", "--network", "none", image) == "made"
