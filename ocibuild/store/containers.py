"""Containers: what was run of an image, with all that it changed, until somebody removes it.

A container is a row, and a kept snapshot that nothing else has: its files are that on the ``stack`` of its image.
Whoever runs it holds the lock ``container ID``; one that has begun and not ended, and whose lock is free, was left by a
killed process. What it wrote is in ``containers/ID/log``; further processes come through ``containers/ID/door``.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from ocibuild.errors import NotInStore, StoreError, UsageError
from ocibuild.fs import remove_path
from ocibuild.oci import Digest
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocibuild.store.database import Database
    from ocibuild.store.locks import Lock, Locks
    from ocibuild.store.snapshots import ActiveSnapshot, Snapshot, Snapshots

LOST = 137
"""The exit status of a container whose runner was killed, and it with that: as of SIGKILL."""
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"
_EVERY = "SELECT id, name, snapshot, facts, created, finished, status FROM containers"
_ONE = f"{_EVERY} WHERE id = ?"
_NEWEST_FIRST = f"{_EVERY} ORDER BY created DESC"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is told of; times are in nanoseconds since 1970.

    ``image`` is the digest of the manifest of its image, which was asked for as ``image_name``. ``stack`` are the
    snapshots below its own, ``snapshot``, the oldest first. ``config`` is how it was run, as JSON. ``finished`` is None
    as long as it runs; ``exit_status`` is as a shell shows it. ``runner`` is the process that runs it, which began at
    the time ``runner_began``, in the kernel's ticks since it was booted.
    """

    id: str
    name: str
    image: Digest
    image_name: str
    snapshot: int
    stack: tuple[int, ...]
    config: dict[str, Any]
    runner: int
    runner_began: int
    created: int
    finished: int | None = None
    exit_status: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.finished is None


class RunningContainer:
    """A container that this process runs; leaving the block without ``end()`` leaves one whose end nobody saw."""

    def __init__(self, containers: Containers, container: Container, active: ActiveSnapshot, lock: Lock) -> None:
        self.container = container
        self.active = active
        self._containers = containers
        self._lock = lock
        self._is_discarded = False

    def __enter__(self) -> Self:
        return self

    def end(self, exit_status: int) -> None:
        """Record how it ended."""
        self._containers._end(self.container.id, exit_status)  # noqa: SLF001  (the two are one idea)

    def discard(self) -> None:
        """Let it be removed when the block is left."""
        self._is_discarded = True

    def __exit__(self, *_: object) -> None:
        try:
            self.active.__exit__()
        finally:
            self._lock.close()
        if self._is_discarded:
            self._containers.remove(self.container)


class Containers:
    """The containers of a store."""

    def __init__(self, root: str, database: Database, locks: Locks, snapshots: Snapshots) -> None:
        self._folder = os.path.join(root, "containers")
        self._database = database
        self._locks = locks
        self._snapshots = snapshots

    def begin(
        self, name: str | None, image: Digest, image_name: str, stack: Sequence[Snapshot], config: dict[str, Any]
    ) -> RunningContainer:
        """Begin a new container, with a name of ours where it has none; the block that it opens runs it.

        Raises UsageError where ``name`` is none, or somebody has it.
        """
        if name is not None and not re.fullmatch(_NAME, name):
            raise UsageError(f"{name!r} is no name of a container", remedy="take two or more of a-z, 0-9, '_.-'")
        container_id = os.urandom(32).hex()
        lock = self._locks.hold(_lock_name(container_id))
        try:
            active = self._snapshots.begin(kept=True)
        except BaseException:
            lock.close()
            raise
        container = Container(
            id=container_id,
            name=name or f"container-{container_id[:8]}",
            image=image,
            image_name=image_name,
            snapshot=active.id,
            stack=tuple(snapshot.id for snapshot in stack),
            config=config,
            runner=os.getpid(),
            runner_began=_beginning_of(os.getpid()) or 0,
            created=time.time_ns(),
        )
        running = RunningContainer(self, container, active, lock)
        try:
            self._put(container)
        except BaseException:
            active.recall()
            running.__exit__()
            raise
        return running

    def _put(self, container: Container) -> None:
        facts = {
            "image": container.image,
            "image_name": container.image_name,
            "stack": container.stack,
            "config": container.config,
            "runner": container.runner,
            "runner_began": container.runner_began,
        }
        row = (container.id, container.name, container.snapshot, json.dumps(facts), container.created)
        with self._database.transaction():
            if self._database.query("SELECT 1 FROM containers WHERE name = ?", (container.name,)):
                raise UsageError(
                    f"there is a container with the name {container.name} already",
                    remedy=f"remove it with `ocibuild rm {container.name}`, or take another name",
                )
            self._database.query(
                "INSERT INTO containers (id, name, snapshot, facts, created) VALUES (?, ?, ?, ?, ?)", row
            )
        os.makedirs(self._place(container.id), exist_ok=True)

    def log(self, container: Container) -> str:
        """Return the path of what a container wrote."""
        return os.path.join(self._place(container.id), "log")

    def door(self, container: Container) -> str:
        """Return the path at which a container that runs has a door, see ``sandbox.door``."""
        return os.path.join(self._place(container.id), "door")

    def all(self) -> list[Container]:
        """Return all containers, the newest first; one whose runner was killed is taken for ended now."""
        return [self._seen(_container(row)) for row in self._database.query(_NEWEST_FIRST)]

    def find(self, text: str) -> Container:
        """Return the container with a name, or with an ID that begins so; raise NotInStore for none or several."""
        everything = self.all()
        found = [one for one in everything if text in (one.name, one.id)]
        if not found and text:
            found = [one for one in everything if one.id.startswith(text)]
        if len(found) > 1:
            raise NotInStore(f"{text}: {len(found)} containers have an ID that begins so", remedy="give more of it")
        if not found:
            raise NotInStore(f"{text}: no such container", remedy="`ocibuild ps -a` lists all")
        return found[0]

    def remove(self, container: Container) -> None:
        """Remove a container with its files; raise StoreError where it runs."""
        lock = self._locks.try_hold(_lock_name(container.id))
        if lock is None:
            raise StoreError(f"{container.name}: the container runs", remedy="end it first, or use --force")
        try:
            remove_path(self._place(container.id))
            self._snapshots.remove_kept(container.snapshot)
            self._database.query("DELETE FROM containers WHERE id = ?", (container.id,))
        finally:
            lock.close()

    def stack(self, container: Container) -> tuple[Snapshot, ...]:
        """Return the snapshots below the container's own; raise StoreError where this process cannot use them."""
        found = [self._snapshots.by_id(number) for number in container.stack]
        there = tuple(snapshot for snapshot in found if snapshot)
        if len(there) < len(found):
            raise _unusable(container)
        return there

    def own(self, container: Container) -> Snapshot:
        """Return the snapshot that has what the container changed; raise StoreError where it is of no use here."""
        found = self._snapshots.kept(container.snapshot)
        if found is None:
            raise _unusable(container)
        return found

    @contextmanager
    def changing(self, container: Container) -> Iterator[ActiveSnapshot]:
        """Let this process change the files of a container that does not run; raise StoreError where it does."""
        lock = self._locks.try_hold(_lock_name(container.id))
        if lock is None:
            raise StoreError(f"{container.name}: the container runs", remedy="copy into it when it has ended")
        try:
            with self._snapshots.reopen(self.own(container).id) as active:
                yield active
        finally:
            lock.close()

    def wait(self, container: Container) -> Container:
        """Wait until it has ended, and return it as it is then."""
        self._locks.hold(_lock_name(container.id)).close()
        return self._seen(self._again(container))

    def signal(self, container: Container, number: int) -> None:
        """Send a signal to who runs a container, unless it has ended; raise StoreError where it is not seen from here.

        A number alone would not do: the store may be shared with another PID namespace.
        """
        began = _beginning_of(container.runner)
        if began == container.runner_began:
            with suppress(ProcessLookupError):
                os.kill(container.runner, number)
        elif self._seen(container).is_running:
            raise StoreError(
                f"{container.name}: the process that runs it is not seen from here",
                remedy="do it where the container was run",
            )

    def _end(self, container_id: str, exit_status: int) -> None:
        self._database.query(
            "UPDATE containers SET finished = ?, status = ? WHERE id = ? AND finished IS NULL",
            (time.time_ns(), exit_status, container_id),
        )

    def _seen(self, container: Container) -> Container:
        """Return it as it is now: one that nobody runs any more is recorded as ended."""
        if not container.is_running:
            return container
        lock = self._locks.try_hold(_lock_name(container.id))
        if lock is not None:
            try:
                self._end(container.id, LOST)  # unless it has ended between our two looks
            finally:
                lock.close()
            return self._again(container)
        return container

    def _again(self, container: Container) -> Container:
        """Look at a container once more; one that was removed meanwhile has ended."""
        rows = self._database.query(_ONE, (container.id,))
        return _container(rows[0]) if rows else replace(container, finished=time.time_ns(), exit_status=LOST)

    def _place(self, container_id: str) -> str:
        return os.path.join(self._folder, container_id)


def _container(row: tuple[Any, ...]) -> Container:
    container_id, name, snapshot, facts, created, finished, status = row
    known = json.loads(facts)
    return Container(
        id=container_id,
        name=name,
        image=Digest(known["image"]),
        image_name=known["image_name"],
        snapshot=snapshot,
        stack=tuple(known["stack"]),
        config=known["config"],
        runner=known["runner"],
        runner_began=known.get("runner_began", 0),
        created=created,
        finished=finished,
        exit_status=status,
    )


def _beginning_of(pid: int) -> int | None:
    """Return when a process began, in ticks since the machine was booted, see proc_pid_stat(5); None for none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _unusable(container: Container) -> StoreError:
    return StoreError(
        f"{container.name}: its files are of no use here: their owners are kept in another form",
        remedy="use the --executor that it was run with",
    )


def _lock_name(container_id: str) -> str:
    return f"container {container_id}"
