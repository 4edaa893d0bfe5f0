"""Dockerfiles built for real in a child process, with a store of their own and nothing from outside."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from ocibuild.build import Builder, BuildRequest
from ocibuild.errors import OcibuildError, SandboxError
from ocibuild.executor import Row
from ocibuild.graph import Finished, Noted, Output, Started
from ocibuild.machine import Machine
from ocibuild.oci import Limits, Platform
from ocibuild.rootfs.overlay import OverlaySnapshotter
from ocibuild.store import Store, load_image
from tests.support.isolated import isolated
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ocibuild.fs import Root
    from ocibuild.graph import Event

SHELL = 'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'
"""The beginning of a Dockerfile with RUN; see ``Bench.add_shell()``."""


@dataclass(frozen=True, slots=True)
class Built:
    """A build: the outcome of each step by its label without the numbers, and the image's tree, one line a file.

    ``notes`` has what was said of each step that is not cached.
    ``image`` has the image ID, ``times`` the mtimes in seconds by name, ``xattrs`` likewise; ``error`` is what it
    failed with.
    """

    steps: dict[str, str] = field(default_factory=dict)
    image: str = ""
    tree: dict[str, str] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    xattrs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    output: str = ""
    error: str = ""
    history: tuple[Any, ...] = ()
    layers: tuple[str, ...] = ()
    notes: dict[str, list[str]] = field(default_factory=dict)

    def noted(self, part: str) -> list[str]:
        """Return what was noted of the one step whose label contains ``part``."""
        (notes,) = [notes for label, notes in self.notes.items() if part in label]
        return notes

    def did(self, part: str) -> str:
        """Return the outcome of the one step whose label contains ``part``."""
        (outcome,) = [outcome for label, outcome in self.steps.items() if part in label]
        return outcome


class Bench:
    """A build context and a store below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.context = folder / "context"
        self.context.mkdir()
        self.root = folder / "store"

    def write(self, name: str, content: str | bytes = "", mode: int = 0o644, *, seconds: int = 1_500_000_000) -> Path:
        """Write a file of the context, with its parents."""
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        os.utime(path, (seconds, seconds))
        return path

    def add_shell(self) -> None:
        """Put a static shell into the context, for RUN."""
        with open(require_peer("busybox"), "rb") as busybox:
            self.write("busybox", busybox.read(), 0o755)

    def build(self, dockerfile: str, *, machine: Callable[[], Machine] = Machine.enter, **request: Any) -> Built:
        """Build, whatever becomes of it."""
        self.write("Dockerfile", dockerfile)
        (self.context / ".dockerignore").touch()
        return isolated(lambda: self._build(machine, request))

    def images(self, dockerfiles: list[str]) -> None:
        """Build each, all of which must succeed."""
        for dockerfile in dockerfiles:
            assert not self.build(dockerfile).error

    def _build(self, enter: Callable[[], Machine], options: dict[str, Any]) -> Built:
        events: list[Event] = []
        machine = enter()
        with Store.open(str(self.root)) as store:
            request = BuildRequest(str(self.context), **{"platform": Platform.host(), **options})
            builder = Builder(machine, store, _no_registry, lambda: None, events.append, Limits)
            try:
                (result,) = builder.build(request)
            except OcibuildError as error:
                return Built(_outcomes(events), error=str(error), output=_output(events), notes=_notes(events))
            finally:
                machine.close()
            image = load_image(store.blobs, result.descriptor.digest, request.platform)
            tree, times, xattrs = _tree(machine, store, image.layers)
            return Built(
                _outcomes(events),
                result.image_id,
                tree,
                times,
                xattrs,
                output=_output(events),
                history=image.config.history,
                layers=tuple(layer.diff_id for layer in image.layers),
                notes=_notes(events),
            )


def refusing_machine() -> Machine:
    """Return a machine that grants nothing."""
    return Machine(
        Row.NONE, None, None, SandboxError("this machine refuses a user namespace", remedy="ask `ocibuild doctor`")
    )


def _no_registry() -> NoReturn:
    raise AssertionError("nothing here needs a registry")


def _outcomes(events: list[Event]) -> dict[str, str]:
    found = {}
    for event in events:
        if isinstance(event, Finished):
            found[event.label.partition("] ")[2]] = "failed" if event.error else "cached" if event.cached else "ran"
    return found


def _notes(events: list[Event]) -> dict[str, list[str]]:
    labels = {event.step: event.label.partition("] ")[2] for event in events if isinstance(event, Started)}
    found: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, Noted):
            found.setdefault(labels[event.step], []).append(event.text)
    return found


def _output(events: list[Event]) -> str:
    return b"".join(event.text for event in events if isinstance(event, Output)).decode()


def _tree(machine: Machine, store: Store, layers: Any) -> Any:
    stack = store.snapshots.by_layers(layers)
    if machine.identity is None or stack is None:
        return {}, {}, {}
    snapshotter = OverlaySnapshotter(store, machine.ownership())
    snapshotter.prepare()
    with snapshotter.reading(stack) as root:
        found = list(root.walk())
        tree = {name: _line(root, name, status) for name, status in found}
        times = {name: int(status.st_mtime) for name, status in found}
        return tree, times, {name: _xattrs(root, name) for name, status in found if stat.S_ISREG(status.st_mode)}


def _line(root: Root, name: str, status: os.stat_result) -> str:
    kind = stat.filemode(status.st_mode)[0]
    detail = ""
    if kind == "l":
        return f"l {status.st_uid}:{status.st_gid} {root.readlink(name)}"
    if kind == "-":
        with open(root.open_file(name), "rb") as file:
            detail = " " + file.read(40).decode("utf-8", "replace")
    return f"{kind}{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}{detail}"


def _xattrs(root: Root, name: str) -> dict[str, bytes]:
    fd = root.open_file(name)
    try:
        return {key: os.getxattr(fd, key) for key in os.listxattr(fd) if not key.startswith("user.overlay.")}
    finally:
        os.close(fd)
