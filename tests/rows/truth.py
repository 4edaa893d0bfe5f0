"""What BuildKit makes of the same Dockerfiles, as root: asked once, and kept between runs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.differential.engine import docker_root, docker_versions, engine
from tests.rows import cases, trees, unsteady
from tests.rows.base import base_tar
from tests.rows.laboratory import Outcome
from tests.rows.packages import packages_folder
from tests.rows.trees import File
from tests.support.cache import cache_folder

if TYPE_CHECKING:
    from tests.differential.engine import Engine
    from tests.rows.laboratory import Laboratory
    from tests.rows.trees import Tree

_TIMEOUT = 600  # seconds, for a build
_NAME = "buildkit"


class Truth:
    """Asks BuildKit through an engine that is started when it is first needed."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab
        self._engine: Engine | None = None
        self._version = _version(lab)

    def outcome(self, case: str) -> Outcome:
        """Return what BuildKit makes of a case."""
        folder = cache_folder() / "rows-truth"
        folder.mkdir(exist_ok=True)
        known = folder / f"{case}-{self._version}.json"
        if known.exists():
            return Outcome(_from_json(known.read_text()), "")
        outcome = self._ask(case)
        if outcome.tree is not None:
            known.write_text(json.dumps(outcome.tree))
        return outcome

    def _ask(self, case: str) -> Outcome:
        lab = self._lab
        image = lab.image(_NAME, case)
        how = ("--provenance=false", "--network=host", "--allow=network.host")
        output = f"--output=type=image,name={image},push=true"
        done = self._started().buildx(
            "build", *how, *lab.options(case), output, str(lab.context), cwd=lab.folder, environ={}, timeout=_TIMEOUT
        )
        return Outcome(None if done.returncode else lab.tree(image), done.stderr.decode(errors="replace"))

    def _started(self) -> Engine:
        if self._engine is None:
            folder = self._lab.folder / _NAME
            folder.mkdir()
            self._engine = self._lab.stack.enter_context(engine(docker_root(), folder))
        return self._engine


def _version(lab: Laboratory) -> str:
    """What is another where the question or the reading of the answer is."""
    total = hashlib.sha256()
    folders = [lab.context, *(Path(str(module.__file__)) for module in (cases, trees, unsteady))]
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            total.update(path.read_bytes() if path.is_file() else b"")
    total.update(f"{base_tar().name} {packages_folder().name} {lab.all_files}".encode())
    versions = re.sub(r"[^\w.+~-]", "_", docker_versions(docker_root()))
    return f"{versions}-{total.hexdigest()[:12]}"


def _from_json(text: str) -> Tree:
    return {
        name: File(*fields)._replace(xattrs=tuple((key, value) for key, value in xattrs), names=tuple(names))
        for name, (*fields, xattrs, names) in json.loads(text).items()
    }
