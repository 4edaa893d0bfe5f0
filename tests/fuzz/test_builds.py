"""A build on a store that has seen others gives what a build without cache gives, file by file.

OCIBUILD_TEST_EXAMPLES is how many projects are tried, for more than a run of all tests has time for.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from ocibuild.build import Builder, BuildRequest
from ocibuild.errors import OcibuildError
from ocibuild.executor import Forced
from ocibuild.graph import Finished
from ocibuild.machine import Machine
from ocibuild.oci import Limits, Platform, Reference
from ocibuild.store import Store, load_image
from tests.fuzz.builds import BASE, BASE_TEXT, EDITS, FILES, SEE, USUAL, Edit, FileEdit, Project, dockerfiles
from tests.support.isolated import isolated
from tests.support.peers import require_peer, require_root
from tests.support.trees import Tree, describe, flatten, plain_tar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.graph import Event
    from ocibuild.oci import ImageConfig

EXAMPLES = int(os.environ.get("OCIBUILD_TEST_EXAMPLES") or 60)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build gave: its image without times, or what it failed with; and what it ran."""

    error: str = ""
    tree: Tree = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    ran: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the machine is said to be what is wrong, where only the Dockerfile can be."""
        return "this machine refuses" in self.error

    def lines(self) -> list[str]:
        """Return what is compared, in a form that shows where two differ."""
        return [self.error, *describe(self.tree), *map(str, self.attributes.items()), *map(str, self.config.items())]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a store that has the base image."""
    require_root()
    path = Path(tempfile.mkdtemp(prefix="ocibuild-builds-"))
    try:
        (path / "base").mkdir()
        shutil.copy(require_peer("busybox"), path / "base/busybox")
        (path / "base/see").write_text(SEE)
        (path / "base/see").chmod(0o755)
        made = build(path / "store", Project(path / "base", [BASE_TEXT]), tags=(Reference.parse(BASE),))
        assert not made.error, made.error
        yield path
    finally:
        shutil.rmtree(path)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},  # which takes as long as shrinking
)
@given(
    files=FILES,
    lines=dockerfiles(),
    edits=st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=2, max_size=5),
    forced=st.sampled_from(["overlay", "copy"]).map(lambda name: Forced(snapshotter=name)),
    jobs=st.sampled_from([1, 3]),
)
def test_a_build_with_a_cache_gives_what_one_without_gives(
    folder: Path, files: list[FileEdit], lines: list[str], edits: list[list[Edit]], forced: Forced, jobs: int
) -> None:
    with _project(folder, lines) as project:
        for file in (*USUAL, *files):
            project.edit(file)
        for step in ([], *edits):
            for edit in step:
                project.edit(edit)
            note(f"{project.text}{project.arguments}")
            _compare(project, jobs=jobs, forced=forced)


def _compare(project: Project, **request: Any) -> None:
    store, fresh = (project.context.with_name(name) for name in ("store", "fresh"))
    cached = build(store, project, **request)
    shutil.copytree(project.context.parents[1] / "store", fresh, symlinks=True)
    anew = build(fresh, project, use_cache=False, **request)
    shutil.rmtree(fresh)
    if cached.error and anew.error and request["jobs"] > 1:
        return  # of several errors, any may be the first
    assert cached.lines() == anew.lines()
    assert not cached.refused, cached.error
    if not cached.error:
        assert build(store, project, **request) == replace(cached, ran=())


@contextmanager
def _project(folder: Path, lines: list[str]) -> Iterator[Project]:
    """Yield a project with an empty context, and beside it a store that has the base."""
    own = folder / "project"
    own.mkdir()
    try:
        shutil.copytree(folder / "store", own / "store", symlinks=True)
        (own / "context").mkdir()
        yield Project(own / "context", list(lines))
    finally:
        shutil.rmtree(own)


def build(root: Path, project: Project, **request: Any) -> Outcome:
    """Build in a process of its own, whatever becomes of it."""
    dockerfile = project.context.with_name("Dockerfile")
    dockerfile.write_text(project.text)
    asked = BuildRequest(
        str(project.context), Platform.host(), str(dockerfile), build_args=dict(project.arguments), **request
    )
    return isolated(lambda: _build(root, asked))


def _build(root: Path, request: BuildRequest) -> Outcome:
    events: list[Event] = []
    machine = Machine.enter(request.forced)
    with Store.open(str(root)) as store:
        builder = Builder(machine, store, _no_registry, lambda: None, events.append, Limits)
        try:
            (result,) = builder.build(request)
        except OcibuildError as error:
            return Outcome(str(error))
        finally:
            machine.close()
        image = load_image(store.blobs, result.descriptor.digest, Platform.host())
        layers = [_layer(root, layer.descriptor.digest) for layer in image.layers]
        return Outcome("", flatten(layers), _attributes(layers), _config(image.config), _ran(events))


def _no_registry() -> Any:
    raise AssertionError("nothing here needs a registry")


def _layer(root: Path, digest: str) -> bytes:
    return plain_tar((root / "blobs" / digest.replace(":", "/")).read_bytes())


def _attributes(layers: Sequence[bytes]) -> dict[str, dict[str, str]]:
    """Return the extended attributes of each file, as the last layer has them that has the file."""
    found = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar.getmembers():
                headers = member.pax_headers.items()
                found[member.name] = {name: value for name, value in headers if name.startswith("SCHILY.xattr.")}
    return found


def _config(config: ImageConfig) -> dict[str, Any]:
    """Return a config without times, and without digests of layers, in which there are times, too."""
    document = config.to_json()
    document.pop("created", None)
    document["rootfs"] = len(document["rootfs"]["diff_ids"])
    for entry in document["history"]:
        entry.pop("created", None)
    return document


def _ran(events: Sequence[Event]) -> tuple[str, ...]:
    return tuple(event.label for event in events if isinstance(event, Finished) and not event.cached)
