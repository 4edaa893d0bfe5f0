"""``compression=estargz``: read by Debian's podman in parts, and by everybody as any layer."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.mounts import own_mounts
from tests.support.peers import require_peer
from tests.support.trees import describe, tree_of_folder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.mounts import OwnMounts
    from tests.support.program import Program
    from tests.support.trees import Tree

TABLE = "containerd.io/snapshot/stargz/toc.digest"
TEXT = """\
FROM {base}
RUN mkdir -p /made/below && echo content > /made/file && ln /made/file /made/hard && ln -s /etc/passwd /made/soft \\
 && chmod 4755 /made/file && chown 33:44 /made/below && : > /made/empty
COPY large /made/large
CMD ["sha256sum", "/made/large"]
"""


@pytest.fixture(scope="module")
def context(shared: Program, busybox_base: str) -> Path:
    return shared.context("lazy", {"Dockerfile": TEXT.format(base=busybox_base), "large": os.urandom(9 << 20)})


def _layers(program: Program, folder: Path) -> list[dict[str, Any]]:
    program.check("validate", f"oci:{folder}")
    digest = json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"]
    layers: list[dict[str, Any]] = json.loads((folder / "blobs/sha256" / digest[7:]).read_bytes())["layers"]
    return layers


def test_the_layers_that_were_built_are_all_with_force(shared: Program, context: Path) -> None:
    home = shared.user.home
    outputs = [
        f"type=oci,tar=false,dest={home}/some,compression=estargz",
        f"type=oci,tar=false,dest={home}/every,compression=estargz,force-compression=true",
        f"type=oci,tar=false,dest={home}/none",
        f"type=oci,dest={home}/every.tar,compression=estargz,force-compression=true,name=lazy:1",
    ]
    shared.build(context, *(word for output in outputs for word in ("-o", output)))
    some, every, none = (_layers(shared, home / name) for name in ("some", "every", "none"))
    assert [TABLE in layer.get("annotations", {}) for layer in some] == [False, True, True]
    assert all(TABLE in layer["annotations"] for layer in every)
    assert some[0] == none[0]
    assert some[1:] == every[1:]
    shared.check("load", "-i", home / "every.tar")
    assert shared.check("run", "--rm", "lazy:1").split()[1] == "/made/large"
    shared.build(context, "-o", f"type=oci,tar=false,dest={home}/again,compression=estargz,force-compression=true")
    assert _layers(shared, home / "again") == every


def test_what_is_made_of_an_estargz_is_one(shared: Program, context: Path) -> None:
    """A base that is one already stays as it is, and is a gzip again where that is asked for, its table a file."""
    home = shared.user.home
    shared.build(context, "-o", "type=image,compression=estargz,force-compression=true,name=base:1")
    child = shared.context("child", {"Dockerfile": "FROM base:1\nCOPY Dockerfile /\n"})
    shared.build(child, "-o", f"type=oci,tar=false,dest={home}/of-child,compression=estargz,force-compression=true")
    shared.build(context, "-o", f"type=oci,tar=false,dest={home}/base,compression=estargz,force-compression=true")
    layers = _layers(shared, home / "of-child")
    assert layers[:-1] == _layers(shared, home / "base")
    assert TABLE in layers[-1]["annotations"]
    anew = "compression-level=9,force-compression=true"
    shared.build(child, "-o", f"type=oci,tar=false,dest={home}/gzip,compression=gzip,{anew}")
    assert not any(layer.get("annotations") for layer in _layers(shared, home / "gzip"))


def test_podman_pulls_in_parts_what_it_is(shared: Program, context: Path, registry: str, tmp_path: Path) -> None:
    """Debian's podman, as root, with partial images: it reads the footer, the table, and the parts that it has not."""
    name = f"{registry}/lazy/{shared.user.account.name}:1"
    shared.build(context, "-o", f"type=registry,name={name},compression=estargz,force-compression=true")
    shared.build(context, "-o", f"type=local,dest={shared.user.home}/files")
    with _podman(tmp_path, registry) as podman:
        said = podman("--log-level", "debug", "pull", name).stderr
        layers = json.loads(podman("image", "inspect", name).stdout)[0]["RootFS"]["Layers"]
        assert said.count("Retrieved partial blob") == len(layers) == 3
        pulled = tree_of_folder(podman.mounts.path(podman("image", "mount", name).stdout.strip()))
    expected = tree_of_folder(shared.user.home / "files")
    assert _files(pulled, shared) == _files(expected, shared)


def _files(tree: Tree, program: Program) -> list[str]:
    """Describe what is no directory: podman 4.3 gives those to root in a layer that it pulls in parts, and has no FIFO.

    Files that an ordinary user has of ours are all its own.
    """
    table = (".no.prefetch.landmark", "stargz.index.json")
    files = {path: node for path, node in tree.items() if node.kind != "d" and path not in table}
    if program.user.account.uid:
        files = {path: replace(node, uid=0, gid=0) for path, node in files.items()}
    return describe(files)


@dataclass(frozen=True, slots=True)
class _Podman:
    program: str
    environ: Mapping[str, str]
    mounts: OwnMounts

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        result = self.mounts.run(self.program, *words, environ=self.environ)
        assert result.returncode == 0, f"podman {' '.join(words)}\n{result.stdout}{result.stderr}"
        return result


@contextmanager
def _podman(folder: Path, registry: str) -> Iterator[_Podman]:
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
        '[storage.options]\npull_options = {enable_partial_images = "true", use_hard_links = "false"}\n'
    )
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    settings = {"STORAGE": folder / "storage.conf", "REGISTRIES": folder / "registries.conf"}
    environ = os.environ | {f"CONTAINERS_{name}_CONF": str(path) for name, path in settings.items()}
    with own_mounts() as mounts:
        podman = _Podman(require_peer("podman"), environ, mounts)
        try:
            yield podman
        finally:
            podman("image", "umount", "--all")
            podman("system", "reset", "--force")
