"""What ocibuild builds is file by file what buildah builds from the same Dockerfile, and buildah reads it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.peers.buildah import buildah_in
from tests.support.cases import CASES, copy_case
from tests.support.trees import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.peers.buildah import Buildah
    from tests.support.program import Program
    from tests.support.trees import Tree

# what buildah's containers leave in the root file system, and BuildKit's and ours do not
_LEFT_BY_BUILDAH = {
    "etc/hosts", "etc/resolv.conf", "etc/hostname", "run/.containerenv", "dev", "etc", "proc", "run", "sys"
}  # fmt: skip
# where Debian 12's buildah does otherwise than BuildKit, whose rules are ours
_OTHERWISE = {
    "copy-modes",  # it takes setuid bits away, and --chmod is of files alone
    "add-owned",  # --chown is not of what is unpacked, and an archive's root is that of an existing folder
}
_COMPARED = (
    "Env", "Cmd", "Entrypoint", "Labels", "WorkingDir", "User", "ExposedPorts", "Volumes", "Healthcheck", "Shell",
    "StopSignal",
)  # fmt: skip


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    with buildah_in(tmp_path_factory.mktemp("buildah")) as buildah:
        yield buildah


@pytest.mark.parametrize("case", [case for case in CASES if case not in _OTHERWISE])
def test_tree_and_config_are_those_of_buildah(
    case: str, shared: Program, buildah: Buildah, busybox_base: str, registry: str, tmp_path: Path
) -> None:
    words = ("--build-arg", f"BASE={busybox_base}", "--build-arg", "GIVEN=given")
    pushed = f"{registry}/cases/{case}:{shared.user.account.name}"
    shared.build(shared.case(case), *words, "-t", pushed, "--push")
    theirs = buildah.build(_context(case, tmp_path / "context"), *words)
    ours = buildah("pull", "--tls-verify=false", pushed)
    assert _lines(buildah.tree(ours)) == _lines(buildah.tree(theirs))
    assert _settings(buildah.config(ours)) == _settings(buildah.config(theirs))


def _context(case: str, folder: Path) -> Path:
    """Return the context of a case, root's own."""

    def prepare(script: str) -> None:
        subprocess.run(["sh", "-eu"], cwd=folder, input=script, text=True, check=True)

    return copy_case(case, folder, prepare)


def _lines(tree: Tree) -> list[str]:
    return describe({path: node for path, node in tree.items() if path not in _LEFT_BY_BUILDAH})


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    labels = {name: value for name, value in (config.get("Labels") or {}).items() if name != "io.buildah.version"}
    compared = {**config, "Labels": labels, "Env": sorted(config["Env"] or []), "WorkingDir": config.get("WorkingDir") or "/"}
    return {name: compared[name] for name in _COMPARED if compared.get(name)}
