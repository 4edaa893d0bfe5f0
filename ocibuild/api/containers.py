"""Containers run, looked at, made into images and removed."""

from __future__ import annotations

import signal
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from ocibuild.api.transfers import Transfers
from ocibuild.errors import InvalidReference, NotInStore
from ocibuild.oci import Platform, Reference
from ocibuild.store import Store, load_image, translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.containers.commit import CommitRequest
    from ocibuild.containers.entering import ExecRequest
    from ocibuild.containers.files import Difference
    from ocibuild.containers.run import RunRequest
    from ocibuild.layer.owners import Ownership
    from ocibuild.machine import Machine
    from ocibuild.oci import Digest
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Container, StoredImage


class Containers(Transfers):
    """See ``Session``."""

    def run(
        self,
        name: str,
        request: RunRequest,
        *,
        platform: Platform | None = None,
        pulls: bool = True,
        begun: Callable[[Container], None] | None = None,
    ) -> int:
        """Run a container of an image, with this process's streams, and return its exit status.

        ``platform`` is what the image must be for, any where it is None. An image that the store does not have is
        pulled, if ``pulls``. ``begun`` hears of the container when its process is its program.
        """
        from ocibuild.containers.run import run_attached

        with self._working(request.forced) as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            executor = machine.executor(self._write_warning)
            executor.expect(request.connection, request.shm_size, has_door=True)
            self.store.snapshots.recover()
            self.store.trees.recover()
            image = self._find_or_pull(machine, name, platform, pulls=pulls)
            with closing(machine.snapshotter(self.store, self._write_warning)) as snapshotter:
                return run_attached(
                    self.store, executor, snapshotter, machine.ownership(), image, name, request, self._limits, begun
                )

    def execute(self, name: str, request: ExecRequest, *, begun: Callable[[], None] = lambda: None) -> int:
        """Run a command in a container that runs, and return its exit status: see ``containers.run_in_container``."""
        from ocibuild.containers.entering import run_in_container

        return run_in_container(self.store, self.find_container(name), request, begun)

    def containers(self) -> list[Container]:
        """Return all containers, the newest first."""
        return self.store.containers.all()

    def find_container(self, text: str) -> Container:
        """Return the container with a name, or an ID that begins so; raise NotInStore."""
        return self.store.containers.find(text)

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return what ``docker inspect`` shows of a container; raise NotInStore."""
        from ocibuild.containers.describe import describe_container

        container = self.find_container(name)
        try:
            image_id = load_image(self.store.blobs, container.image, Platform.host()).manifest.config.digest
        except NotInStore:  # another tool has removed it
            image_id = container.image
        return describe_container(container, image_id)

    def descends_from(self, container: Container, name: str) -> bool:
        """Tell whether a container is of the image that ``name`` names, or of one that was made from that."""
        if name in (container.image_name, container.image_name.partition(":")[0]):
            return True
        try:
            wanted = self.find(name).config.diff_ids
            own = load_image(self.store.blobs, container.image, Platform.host()).config.diff_ids
        except (NotInStore, InvalidReference):
            return False
        return bool(wanted) and own[: len(wanted)] == wanted

    def log_of(self, container: Container) -> str:
        """Return the path of the log of a container: see ``executor.recording``."""
        return self.store.containers.log(container)

    def wait_for(self, container: Container) -> Container:
        """Wait until a container has ended, and return it as it is then."""
        return self.store.containers.wait(container)

    def size_of_container(self, container: Container) -> int:
        """Return how many bytes a container's changes take."""
        from ocibuild.fs import disk_usage

        return disk_usage(self.store.snapshots.path(container.snapshot))

    def signal_container(self, container: Container, number: int) -> None:
        """Send a signal to who runs a container, which gives it to its process: see ``executor.signals``.

        SIGKILL ends it and all of the container; then this returns when it has ended. Raises StoreError where who runs
        it is not among the processes that are seen from here.
        """
        if container.is_running:
            self.store.containers.signal(container, number)
            if number == signal.SIGKILL:
                self.wait_for(container)

    @contextmanager
    def removing_containers(self, *, force: bool) -> Iterator[Callable[[str], None]]:
        """Give what removes a container, with its files; it raises StoreError where that runs, unless ``force``."""
        # the owners of files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)

            def remove(name: str) -> None:
                container = self.find_container(name)
                if force:
                    self.signal_container(container, signal.SIGKILL)
                self.store.containers.remove(container)

            yield remove

    def commit(self, name: str, request: CommitRequest, reference: Reference | None) -> Digest:
        """Make an image of a container, under a name or none, and return its ID: see ``containers.commit``."""
        from ocibuild.containers.commit import commit

        with self._files_of(name) as (container, snapshotter, _):
            descriptor = commit(self.store, snapshotter, container, request)
            self.store.tags.give(descriptor, [reference] if reference else [])
        return self.image_id(descriptor)

    def differences(self, name: str) -> list[Difference]:
        """Return what a container has changed of its image."""
        from ocibuild.containers.files import differences

        with self._files_of(name) as (container, _, _):
            return list(differences(self.store, container))

    def export(self, name: str, to: str) -> None:
        """Write all files of a container as a tar to a path, or to stdout for ``-``."""
        from ocibuild.archive import destination
        from ocibuild.containers.files import export

        with self._files_of(name) as (container, snapshotter, ownership), destination(to) as stream:
            export(self.store, snapshotter, ownership, container, stream.write)

    def copy_out(self, name: str, path: str, to: str) -> None:
        """Copy what is at ``path`` in a container to ``to`` of the machine: see ``containers.copying``."""
        from ocibuild.containers.copying import copy_out

        with self._files_of(name) as (container, snapshotter, ownership):
            stack = (*self.store.containers.stack(container), self.store.containers.own(container))
            with snapshotter.reading(stack) as root:
                copy_out(root, ownership, path, to)

    def copy_in(self, source: str, name: str, path: str) -> None:
        """Copy ``source`` of the machine to ``path`` in a container; raise StoreError where that runs."""
        from ocibuild.containers.copying import copy_in

        with (
            self._files_of(name) as (container, snapshotter, _),
            self.store.containers.changing(container) as active,
            snapshotter.changing(self.store.containers.stack(container), active) as root,
        ):
            copy_in(root, source, path)

    def _find_or_pull(self, machine: Machine, name: str, platform: Platform | None, *, pulls: bool) -> StoredImage:
        try:
            return self._find_for(name, platform) if platform else self.find(name)
        except NotInStore:
            reference = Reference.parse(name)
            if not pulls:
                raise
        with self._shown(f"pull {reference.familiar()}") as emit:
            self._pull(machine, reference, platform or Platform.host(), emit)
        return self.find(name)

    @contextmanager
    def _files_of(self, name: str) -> Iterator[tuple[Container, Snapshotter, Ownership]]:
        """Give a container, and what its files are looked at with: in the way in which it was run."""
        from ocibuild.executor import Forced

        with Store.open(self._settings.root) as store:  # closed again before the namespaces are entered
            forced = Forced(*store.containers.find(name).config["forced"])
        with self._working(forced) as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            container = self.find_container(name)
            with closing(machine.snapshotter(self.store, self._write_warning)) as snapshotter:
                yield container, snapshotter, machine.ownership()
