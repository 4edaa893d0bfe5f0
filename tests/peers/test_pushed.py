"""What ocibuild pushes, others pull, show, run and unpack."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer, require_root
from tests.support.trees import describe, read_archive, tree_of_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.buildah import Buildah
    from tests.peers.podman import Podman
    from tests.support.docker import Docker
    from tests.support.program import Program

TEXT = """\
FROM {base} AS builder
RUN mkdir -p /out && echo built > /out/file && ln /out/file /out/hard && ln -s file /out/soft && chown 33:44 /out/file
FROM {base}
COPY --from=builder --chown=app:app /out /app
RUN rm /usr/bin/yes && rm -r /home && mkdir /home && chmod 4755 /app/file && chown -h 7:8 /app/soft
ENV WHO="whole world"
LABEL org.example.of=peers
WORKDIR /app
USER app
ENTRYPOINT ["sh", "-c", "echo hello $WHO from $(id -un) in $PWD with $(cat file)"]
"""
SAID = "hello whole world from app in /app with built"


@pytest.fixture(scope="module")
def archive(shared: Program, busybox_base: str, registry: str) -> Path:
    """Build the image, push it as ``pushed`` and write it into an archive."""
    context = shared.context("peers", {"Dockerfile": TEXT.format(base=busybox_base)})
    path = shared.user.home / "image.tar"
    shared.build(context, "-t", _name(shared, registry), "--push", "-o", f"type=oci,dest={path}")
    return path


@pytest.fixture(scope="module")
def pushed(archive: Path, shared: Program, registry: str) -> str:
    return _name(shared, registry)


def _name(program: Program, registry: str) -> str:
    return f"{registry}/peers/image:{program.user.account.name}"


def _run(*words: str | Path) -> str:
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
    return result.stdout


def test_skopeo_inspects_it(pushed: str, archive: Path) -> None:
    skopeo = require_peer("skopeo")
    shown = json.loads(_run(skopeo, "inspect", "--tls-verify=false", f"docker://{pushed}"))
    assert shown["Labels"] == {"org.example.of": "peers"}
    assert shown["Layers"] == [layer["digest"] for layer in read_archive(archive).manifest["layers"]]
    config = json.loads(_run(skopeo, "inspect", "--config", "--tls-verify=false", f"docker://{pushed}"))
    assert config == read_archive(archive).config
    tags = json.loads(_run(skopeo, "list-tags", "--tls-verify=false", f"docker://{pushed.rpartition(':')[0]}"))
    assert pushed.rpartition(":")[2] in tags["Tags"]


def test_podman_pulls_and_runs_it(pushed: str, podman: Podman) -> None:
    podman("pull", "--tls-verify=false", pushed)
    assert podman.run(pushed) == SAID


def test_docker_pulls_and_runs_it(pushed: str, docker: Docker, shared: Program) -> None:
    docker("pull", pushed)
    assert docker("run", "--rm", "--network", "none", pushed) == SAID
    (theirs,) = json.loads(docker("inspect", pushed))
    (ours,) = json.loads(shared.check("inspect", pushed))
    for name in ("Id", "Architecture", "Os", "RootFS", "Created"):
        assert theirs[name] == ours[name]
    for name, value in ours["Config"].items():  # of what is not set docker says null, or nothing
        assert (theirs["Config"].get(name) or None) == (value or None)
    words = ("history", "--no-trunc", "--format", "{{.CreatedBy}}", pushed)
    assert docker(*words).splitlines() == shared.check(*words).splitlines()


def test_docker_sees_no_change_in_a_new_container(pushed: str, docker: Docker) -> None:
    container = docker("create", "--network", "none", pushed)
    try:
        assert docker("diff", container) == ""
    finally:
        docker("rm", container)


def test_umoci_unpacks_it(pushed: str, archive: Path, tmp_path: Path) -> None:
    require_root()  # with true owners
    umoci, skopeo = require_peer("umoci"), require_peer("skopeo")
    _run(skopeo, "copy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{tmp_path}/layout:image")
    _run(umoci, "unpack", "--image", f"{tmp_path}/layout:image", tmp_path / "bundle")
    assert describe(tree_of_folder(tmp_path / "bundle/rootfs")) == describe(read_archive(archive).tree)


def test_buildah_mounts_it(pushed: str, archive: Path, buildah: Buildah) -> None:
    assert describe(buildah.tree(pushed)) == describe(read_archive(archive).tree)


def test_podman_and_skopeo_load_the_archive(archive: Path, podman: Podman, pushed: str, tmp_path: Path) -> None:
    loaded = podman("load", "-i", archive).rpartition("Loaded image: ")[2]
    assert podman.run(loaded or pushed) == SAID
    shown = json.loads(_run(require_peer("skopeo"), "inspect", f"oci-archive:{archive}"))
    assert shown["Labels"] == {"org.example.of": "peers"}
    _run(require_peer("skopeo"), "copy", f"oci-archive:{archive}", f"docker-archive:{tmp_path}/docker.tar:copied:1")


def test_what_others_push_is_pulled_and_built_upon(
    shared: Program, buildah: Buildah, docker: Docker, pushed: str, registry: str, busybox_base: str
) -> None:
    """Docker's media types and buildah's, in each of buildah's compressions."""
    docker("pull", busybox_base)
    name = f"{registry}/others/docker:{shared.user.account.name}"
    docker("tag", busybox_base, name)
    docker("push", name)
    names = [name]
    buildah("pull", "--tls-verify=false", pushed)
    for form, compression in (("v2s2", "gzip"), ("oci", "zstd"), ("oci", "gzip")):
        name = f"{registry}/others/{form}-{compression}:{shared.user.account.name}"
        how = ("--tls-verify=false", "--format", form, "--compression-format", compression)
        _push(buildah, pushed, name, how)
        names.append(name)
    for name in names:
        context = shared.context("others", {"Dockerfile": f"FROM {name}\nUSER root\nRUN echo on top > /top\n"})
        shared.build(context, "-t", "others")
        assert shared.check("run", "--entrypoint", "cat", "others", "/top") == "on top\n"


def _push(buildah: Buildah, image: str, name: str, how: tuple[str, ...]) -> None:
    buildah("push", *how, image, f"docker://{name}")


def test_docker_runs_what_has_a_hundred_layers(
    shared: Program, docker: Docker, busybox_base: str, registry: str
) -> None:
    steps = "".join(f"RUN echo {number} > /file{number} && rm -f /file{number - 1}\n" for number in range(100))
    name = f"{registry}/peers/deep:{shared.user.account.name}"
    context = shared.context("deep", {"Dockerfile": f"FROM {busybox_base}\n{steps}"})
    shared.build(context, "-t", name, "--push")
    docker("pull", name)
    assert docker("run", "--rm", "--network", "none", name, "sh", "-c", "ls -d /file*") == "/file99"
    assert shared.check("run", name, "sh", "-c", "ls -d /file*") == "/file99\n"
