"""The cases of ``tests/cases``: a Dockerfile with its context, and what it gives.

A case is a folder with ``context``, perhaps ``prepare.sh``, which makes in the context what a checkout cannot hold,
``expected.tree``, what the image changes of its base, and ``expected.json``, how it is run.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FOLDER = Path(__file__).parents[1] / "cases"
CASES = sorted(path.name for path in _FOLDER.iterdir() if path.is_dir())


def copy_case(name: str, folder: Path, prepare: Callable[[str], object]) -> Path:
    """Copy the context of a case to ``folder``, with the modes it has in any checkout, and have it prepared.

    ``prepare`` runs a shell script in the folder.
    """
    shutil.copytree(_FOLDER / name / "context", folder, symlinks=True)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    script = _FOLDER / name / "prepare.sh"
    prepare(script.read_text() if script.exists() else "")
    return folder


def check_expected(name: str, tree: Sequence[str], config: dict[str, Any], *, snapshotter: str = "overlay") -> None:
    """Compare with what a case should give; with OCIBUILD_WRITE_EXPECTED in the environment it is written anew.

    A case in which a step changes a file with several names has an ``expected.copy.tree``: overlayfs gives the name
    that it is changed by a file of its own, in a plain folder all names show the change.
    """
    lines, document = _FOLDER / name / "expected.tree", _FOLDER / name / "expected.json"
    if (other := lines.with_name(f"expected.{snapshotter}.tree")).exists():
        lines = other
    if os.environ.get("OCIBUILD_WRITE_EXPECTED"):
        lines.write_text("".join(f"{line}\n" for line in tree))
        document.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    assert list(tree) == lines.read_text().splitlines()
    assert config == json.loads(document.read_text())
