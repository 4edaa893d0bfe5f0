"""What ocibuild builds is file by file what buildah builds from the same Dockerfile, and buildah reads it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cases import CASES, copy_case
from tests.support.trees import describe

if TYPE_CHECKING:
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


CAPABILITY = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin
RUN cp /bin/cat /usr/bin/cat-with && setcap cap_net_raw,cap_net_bind_service+ep /usr/bin/cat-with
RUN mv /usr/bin/cat-with /usr/bin/cat-moved && chmod 750 /usr/bin/cat-moved
RUN test "$(getcap /usr/bin/cat-moved)" = "/usr/bin/cat-moved cap_net_bind_service,cap_net_raw=ep"
"""
_CAPABILITIES_OF_TWO = "0100000200240000000000000000000000000000"


def test_file_capabilities_are_in_the_image(shared: Program, buildah: Buildah, debian_base: str, registry: str) -> None:
    """An ordinary user's kernel ties them to the user namespace; the layer has them as root would set them."""
    pushed = f"{registry}/cases/capability:{shared.user.account.name}"
    shared.build(
        shared.context("capability", {"Dockerfile": CAPABILITY.format(base=debian_base)}), "-t", pushed, "--push"
    )
    tree = buildah.tree(pushed)
    assert tree["usr/bin/cat-moved"].capability == _CAPABILITIES_OF_TWO
    assert tree["usr/bin/cat-moved"].mode == 0o750


def _context(case: str, folder: Path) -> Path:
    """Return the context of a case, root's own."""

    def prepare(script: str) -> None:
        subprocess.run(["sh", "-eu"], cwd=folder, input=script, text=True, check=True)

    return copy_case(case, folder, prepare)


def _lines(tree: Tree) -> list[str]:
    return describe({path: node for path, node in tree.items() if path not in _LEFT_BY_BUILDAH})


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    labels = {name: value for name, value in (config.get("Labels") or {}).items() if name != "io.buildah.version"}
    compared = {
        **config,
        "Labels": labels,
        "Env": sorted(config["Env"] or []),
        "WorkingDir": config.get("WorkingDir") or "/",
    }
    return {name: compared[name] for name in _COMPARED if compared.get(name)}
