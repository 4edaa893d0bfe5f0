"""Everything the builds share: a registry with the base, the mirror of packages, the context; and each row's store."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.remove import remove
from demo.upload import upload_image
from tests.rows.base import base_tar
from tests.rows.cases import FEW_FILES, FILES, write_context
from tests.rows.ci import in_container, running
from tests.rows.packages import package_server
from tests.rows.row import ROWS
from tests.rows.trees import differences, flatten, read_layer
from tests.support.bases import DEBIAN_CONFIG, SUITE
from tests.support.peers import docker_registry, require_root
from tests.support.rootless import installed_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rows.row import Row
    from tests.rows.trees import Entry, Tree
    from tests.support.docker import Docker

TOKEN = "the secret of these builds\n"
BUILD = "(build)"
"""The name of the difference that there is where a build fails."""
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a build: its tree, or None where it failed; and what it printed."""

    tree: Tree | None
    printed: str

    def differs(self, other: Outcome) -> dict[str, str]:
        """Return by name what ``other`` has otherwise than this one."""
        if self.tree is None or other.tree is None:
            failed = self if self.tree is None else other
            return {BUILD: f"fails:\n{failed.printed.strip()[-2000:]}"}
        return differences(self.tree, other.tree)


@dataclass
class Laboratory:
    """Builds cases in rows, each once. ``all_files`` is for the case of very many files as it is meant."""

    folder: Path
    stack: ExitStack
    registry: str
    base: str
    mirror: str
    context: Path
    all_files: bool = False
    _outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    _layers: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    _docker: Docker | None = None

    def outcome(self, row: Row, case: str) -> Outcome:
        """Build a case in a row, or return what came of it before."""
        if (row.name, case) not in self._outcomes:
            self._outcomes[row.name, case] = self._build(row, case)
        return self._outcomes[row.name, case]

    def found(self, row: Row, case: str) -> dict[str, str]:
        """Return what a row has otherwise than the first of them."""
        return self.outcome(ROWS[0], case).differs(self.outcome(row, case))

    def run(self, row: Row, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of ocibuild as a row does, whatever becomes of it."""
        if row.container is not None:
            return in_container(self._started(), row.container, self.folder, *words)
        home = self.folder / f"home-{row.name}"
        home.mkdir(exist_ok=True)
        home.chmod(0o777)
        return subprocess.run(
            [*row.front, installed_programs() / "ocibuild", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            env={"HOME": str(home), "PATH": _PATH, "LANG": "C.UTF-8"},
        )

    def doctor(self, row: Row) -> dict[str, Any]:
        """Return what ``ocibuild doctor`` says in a row."""
        done = self.run(row, "doctor", "--format", "json", *row.flags)
        assert done.stdout, done.stderr
        diagnosis: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if diagnosis["executor"] else 1)
        return diagnosis

    def options(self, case: str) -> list[str]:
        """Return what every builder is asked, in the words that docker and ocibuild share."""
        arguments = {
            "BASE": self.base,
            "FILES": str(FILES if self.all_files else FEW_FILES),
            "http_proxy": self.mirror,
        }
        named = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        secret = ("--secret", f"id=token,src={self.folder}/token")
        return ["--file", str(self.context / case), "--progress=plain", *named, *secret]

    def image(self, name: str, case: str) -> str:
        """Return the name of the image that a builder pushes."""
        return f"{self.registry}/rows/{case}:{name.replace(' ', '-').replace(',', '')}"

    def tree(self, image: str) -> Tree:
        """Return the tree of an image in the registry."""
        repository, _, tag = image.removeprefix(f"{self.registry}/").rpartition(":")
        manifest = json.loads(self._get(f"{repository}/manifests/{tag}"))
        return flatten([self._layer(repository, layer["digest"]) for layer in manifest["layers"]])

    def _layer(self, repository: str, digest: str) -> tuple[Entry, ...]:
        if digest not in self._layers:
            self._layers[digest] = read_layer(self._get(f"{repository}/blobs/{digest}"))
        return self._layers[digest]

    def _get(self, path: str) -> bytes:
        request = urllib.request.Request(f"http://{self.registry}/v2/{path}", headers={"Accept": _MANIFESTS})
        with urllib.request.urlopen(request) as response:
            answer: bytes = response.read()
            return answer

    def _build(self, row: Row, case: str) -> Outcome:
        image = self.image(row.name, case)
        words = ("--push", "--tag", image, *row.flags)
        done = self.run(row, "build", *self.options(case), *words, self.context)
        return Outcome(None if done.returncode else self.tree(image), done.stderr)

    def _started(self) -> Docker:
        if self._docker is None:
            folder = self.folder / "docker"
            folder.mkdir()
            self._docker = self.stack.enter_context(running(folder))
        return self._docker


@contextmanager
def laboratory(*, all_files: bool = False) -> Iterator[Laboratory]:
    """Yield a laboratory with a folder that is removed at the end."""
    require_root()
    folder = Path(tempfile.mkdtemp(prefix="ocibuild-rows-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            registry = stack.enter_context(docker_registry(folder))
            mirror = stack.enter_context(package_server())
            base = f"{registry}/library/debian:{SUITE}"
            with base_tar().open("rb") as tar:
                upload_image(base, tar, DEBIAN_CONFIG, created_by="mmdebstrap")
            token = folder / "token"
            token.write_text(TOKEN)
            token.chmod(0o644)
            yield Laboratory(folder, stack, registry, base, mirror, write_context(folder / "context"), all_files)
    finally:
        remove(os.fspath(folder))
