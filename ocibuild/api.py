"""The Python API: what the command line calls, and what other programs import.

A ``Session`` is a store and a configuration. Its methods do what the commands of the same names do, return values and
raise errors of ``ocibuild.errors``; they print nothing but the progress that they are given a stream for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TextIO

from ocibuild.errors import NoMatchingPlatform, NotInStore, StoreError, Unauthorized, UsageError
from ocibuild.graph import Transferred, Warned, told
from ocibuild.oci import Platform, Reference, select
from ocibuild.output import check_outputs, describe_history, describe_image
from ocibuild.progress import Mode, display
from ocibuild.store import Store, find_entry, find_image, list_images, load_image, translate_errors
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ocibuild.archive import ArchiveForm, NamedImage, Report
    from ocibuild.build import (
        BuildRequest,
        BuildResult,
        CheckReport,
        Inspector,
        Machine,
        OutlineReport,
        TargetsReport,
    )
    from ocibuild.containers import CommitRequest, Difference, ImportRequest, RunRequest
    from ocibuild.executor import Forced
    from ocibuild.executor.probe import Diagnosis
    from ocibuild.graph import Emit
    from ocibuild.layer import Ownership
    from ocibuild.oci import Descriptor, Digest, Limits
    from ocibuild.progress import Display
    from ocibuild.registry import Kept, Registry, RegistryConfig
    from ocibuild.rootfs import Snapshotter
    from ocibuild.solver.dryrun import PlannedStep
    from ocibuild.store import Container, ImageFilter, Item, Layer, ListedImage, Pruning, RemovedImage, StoredImage
    from ocibuild.transfer import LoadedImage


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store and the configuration are, and how progress is shown, on ``stream``."""

    root: str
    config: str | None = None
    progress: Mode = Mode.AUTO
    stream: TextIO = sys.stderr


class Session:
    """A store, opened at its first use, and a registry client, likewise; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cleanup = ExitStack()
        self._emit: Emit | None = None  # while something is shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @cached_property
    def store(self) -> Store:
        """The store."""
        return self._cleanup.enter_context(Store.open(self._settings.root))

    @cached_property
    def registry(self) -> Registry:
        """The registry client."""
        from ocibuild.registry import Credentials, Registry

        return self._cleanup.enter_context(Registry(self._config, Credentials.load(os.environ), warn=self._warn))

    @cached_property
    def _config(self) -> RegistryConfig:
        return _load_config(self._settings.config)

    def _limits(self) -> Limits:
        return self._config.limits

    # -- building

    def build(self, request: BuildRequest) -> BuildResult:
        """Build an image, put it into the store, and write its outputs."""
        from ocibuild.build import Builder, Delivery

        check_outputs(request.outputs, request.tags)
        if request.debug_on_failure:
            _need_terminal()
        with (
            self._working(request.forced) as machine,
            self._shown("build") as shown,
            translate_errors(self._settings.root),
            Delivery(request, self.store, machine, lambda: self.registry, self._limits, shown) as delivery,
        ):
            builder = Builder(
                machine,
                self.store,
                lambda: self.registry,
                self._stop_transfers,
                shown,
                self._limits,
                ready=delivery.begin,
                provided=delivery.provides,
                elsewhere=delivery.caches,
                hold=shown.held,
            )
            result = builder.build(request)
            if request.verifies:
                plain = Builder(machine, self.store, lambda: self.registry, self._stop_transfers, shown, self._limits)
                delivery.verify(result, plain.build(request.repeated()))
            return delivery.finish(result)

    def preview(self, request: BuildRequest) -> tuple[PlannedStep, ...]:
        """Return what a build would do, without any of it: see ``Builder.preview()``."""
        from ocibuild.build import Builder, Delivery

        with (
            self._machine(request.forced) as machine,
            self._shown("plan") as emit,
            translate_errors(self._settings.root),
            self.store.leases.held(),
            Delivery(
                replace(request, outputs=()), self.store, machine, lambda: self.registry, self._limits, emit
            ) as delivery,
        ):
            builder = Builder(
                machine,
                self.store,
                lambda: self.registry,
                self._stop_transfers,
                emit,
                self._limits,
                elsewhere=delivery.caches,
            )
            return builder.preview(request)

    def check(self, request: BuildRequest) -> CheckReport:
        """Return what the linter finds in a Dockerfile, and the error, if any, that its build would begin with."""
        with self._inspector() as inspector:
            return inspector.check(request)

    def outline(self, request: BuildRequest) -> OutlineReport:
        """Return the build arguments, secrets and SSH agents that a build can be given."""
        with self._inspector() as inspector:
            return inspector.outline(request)

    def targets(self, request: BuildRequest) -> TargetsReport:
        """Return the stages that a build can aim at."""
        with self._inspector() as inspector:
            return inspector.targets(request)

    @contextmanager
    def _inspector(self) -> Iterator[Inspector]:
        from ocibuild.build import Inspector

        with self._machine() as machine, self._shown("") as emit, translate_errors(self._settings.root):
            yield Inspector(machine.ownership, self.store, lambda: self.registry, emit)

    # -- containers

    def run(
        self,
        name: str,
        request: RunRequest,
        *,
        platform: Platform | None = None,
        pulls: bool = True,
        begun: Callable[[Container], None] = lambda _container: None,
    ) -> int:
        """Run a container of an image, with this process's streams, and return its exit status.

        ``platform`` is what the image must be for, any where it is None. An image that the store does not have is
        pulled, if ``pulls``. ``begun`` hears of the container before its process starts.
        """
        from ocibuild.containers import run_attached

        with self._working(request.forced) as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            executor = machine.executor(self._write_warning)
            self.store.snapshots.recover()
            self.store.trees.recover()
            image = self._find_or_pull(machine, name, platform, pulls=pulls)
            with closing(machine.snapshotter(self.store, self._write_warning)) as snapshotter:
                return run_attached(
                    self.store, executor, snapshotter, machine.ownership(), image, name, request, self._limits, begun
                )

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

    def containers(self) -> list[Container]:
        """Return all containers, the newest first."""
        return self.store.containers.all()

    def find_container(self, text: str) -> Container:
        """Return the container with a name, or an ID that begins so; raise NotInStore."""
        return self.store.containers.find(text)

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
        """Send a signal to who runs a container, which gives SIGTERM, SIGINT and SIGHUP to its process.

        SIGKILL ends it and all of the container; then this returns when it has ended.
        """
        if container.is_running:
            with suppress(ProcessLookupError):
                os.kill(container.runner, number)
            if number == signal.SIGKILL:
                self.wait_for(container)

    @contextmanager
    def removing_containers(self) -> Iterator[Callable[[str, bool], None]]:
        """Give what removes a container, with its files; it raises StoreError where that runs, unless forced."""
        # the owners of files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)

            def remove(name: str, force: bool) -> None:  # noqa: FBT001
                container = self.find_container(name)
                if force:
                    self.signal_container(container, signal.SIGKILL)
                self.store.containers.remove(container)

            yield remove

    def commit(self, name: str, request: CommitRequest, reference: Reference | None) -> Digest:
        """Make an image of a container, under a name or none, and return its ID: see ``containers.commit``."""
        from ocibuild.containers import commit

        with self._files_of(name) as (container, snapshotter, _):
            descriptor = commit(self.store, snapshotter, container, request)
            self.store.tags.give(descriptor, [reference] if reference else [])
        return self.image_id(descriptor)

    def differences(self, name: str) -> list[Difference]:
        """Return what a container has changed of its image."""
        from ocibuild.containers import differences

        with self._files_of(name) as (container, _, _):
            return list(differences(self.store, container))

    def export(self, name: str, to: str) -> None:
        """Write all files of a container as a tar to a path, or to stdout for ``-``."""
        from ocibuild.archive import destination
        from ocibuild.containers import export

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
        """Copy ``source`` of the machine to ``path`` in a container that does not run; raise StoreError."""
        from ocibuild.containers.copying import copy_in

        with self._files_of(name) as (container, snapshotter, _), self.store.containers.changing(container) as active:
            if not snapshotter.shares_files:
                raise StoreError(f"{name}: files can be copied into a container only where overlay mounts are used")
            with snapshotter.writing(self.store.containers.stack(container), active) as root:
                copy_in(root, source, path)

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

    @contextmanager
    def _working(self, forced: Forced | None = None) -> Iterator[Machine]:
        """Enter this process's namespaces, as ``_machine()`` does, and let nothing be pruned that is used from now on.

        At the end what is more than may be kept is pruned, where the configuration says how much that is.
        """
        with self._machine(forced) as machine, translate_errors(self._settings.root):
            with self.store.leases.held():
                yield machine
            if self._settings.config is not None and (keep := self._config.keep_storage) is not None:
                from ocibuild.store import Pruning

                self.store.usage.prune(Pruning(everything=True, keep=keep))

    @contextmanager
    def _machine(self, forced: Forced | None = None) -> Iterator[Machine]:
        """Enter this process's namespaces: before there is a thread, and before the database is open."""
        from ocibuild.build import Machine
        from ocibuild.executor import Forced

        machine = Machine.enter(forced or Forced(), self._proot)
        try:
            yield machine
        finally:
            machine.close()

    def _proot(self) -> str | None:
        from ocibuild.executor.proot import find_proot

        return find_proot(self._config.proot, os.environ)

    # -- transfers

    def pull(self, reference: Reference, platform: Platform) -> Descriptor:
        """Pull an image into the store under its tag, unpacked, and return the descriptor of its manifest.

        Where this machine cannot unpack, the layers are only checked.
        """
        title = f"pull {reference.familiar()}"
        with self._working() as machine, self._shown(title) as emit, translate_errors(self._settings.root):
            machine.use(self.store)
            return self._pull(machine, reference, platform, emit)

    def _pull(self, machine: Machine, reference: Reference, platform: Platform, emit: Emit) -> Descriptor:
        from ocibuild.registry import RegistryBlobs, resolve
        from ocibuild.registry.parallel import in_parallel
        from ocibuild.rootfs.arrivals import bring_in
        from ocibuild.store import pair_layers

        def report(layer: Descriptor, verb: str, done: int) -> None:
            emit(Transferred(1, layer.digest.short, verb, done, layer.size))

        with told(emit, 1, str(reference)):
            resolved = resolve(self.registry, self.store, reference, platform)
            pinned = reference.with_digest(resolved.descriptor.digest)
            blobs = RegistryBlobs(lambda: self.registry, self.store, pinned)

            def bring(layers: Sequence[Layer], _stop: object) -> None:
                bring_in(
                    self.store,
                    layers,
                    blobs,
                    ownership=machine.ownership() if machine.can_unpack else None,
                    blobs=layers,
                    verified=layers,
                    limits=self._limits(),
                    report=report,
                )

            # in another thread, so that an interrupt reaches this one, and does not wait for a server that stalls
            layers = pair_layers(resolved.manifest, resolved.config)
            in_parallel(bring, [layers], limit=1, abandon=blobs.stop)
        descriptor = replace(resolved.descriptor, platform=resolved.config.platform)
        tagged = [] if reference.tag is None else [replace(reference, digest=None)]
        self.store.tags.give(descriptor, tagged)
        return descriptor

    def push(self, source: str, destination: Reference) -> Digest:
        """Push an image of the store to ``destination``, and return the digest it has there."""
        from ocibuild.build import finish_push
        from ocibuild.transfer import Push

        descriptor = self._descriptor(source)
        with (
            self._shown(f"push {destination.familiar()}") as emit,
            translate_errors(self._settings.root),
            Push(self.registry, self.store, [destination]) as push,
        ):
            finish_push(push, descriptor, [destination], emit, step=1)
        return descriptor.digest

    def is_logged_in(self, host: str) -> bool:
        """Tell whether there is a credential for the registry ``host`` that it takes; raises RegistryError."""
        from ocibuild.registry import Credentials

        credential = Credentials.load(os.environ).for_host(host)
        if credential is None:
            return False
        try:
            self.registry.check_login(host, credential)
        except Unauthorized:
            return False
        return True

    def login(self, host: str, user: str, password: str) -> Kept:
        """Keep a password, or what the registry gives for it, once the registry ``host`` has taken it.

        Raises Unauthorized, RegistryError, and ConfigError where it cannot be kept; then nothing has changed.
        """
        from ocibuild.registry import Password, keep

        credential = self.registry.check_login(host, Password(user, password))
        kept = keep(os.environ, host, user, credential)
        self.__dict__.pop("registry", None)  # the next one reads the credentials anew
        return kept

    def logout(self, host: str) -> bool:
        """Forget what is kept for the registry ``host``; False where there was nothing."""
        from ocibuild.registry import forget

        found = forget(os.environ, host)
        self.__dict__.pop("registry", None)
        return found

    def copy(
        self, source: str, destination: str, *, platforms: Sequence[Platform] = (), everything: bool = False
    ) -> Digest:
        """Copy an image from one location to another, and return the digest it has there.

        Of an index the images for ``platforms`` are copied, for this machine's where there are none, or ``everything``.
        """
        from ocibuild.transfer import Ends, Selection, parse_location, transfer

        origin, target = parse_location(source), parse_location(destination)
        selection = Selection(tuple(platforms), everything)
        with (
            self._shown(f"copy {origin}") as emit,
            translate_errors(self._settings.root),
            ExitStack() as leases,
        ):

            def store() -> Store:
                leases.enter_context(self.store.leases.held())
                return self.store

            ends = Ends(lambda: self.registry, store)

            def report(blob: Descriptor, done: int) -> None:
                emit(Transferred(1, blob.digest.short, "copying", done, blob.size))

            with told(emit, 1, f"copying {origin} to {target}"):
                return transfer(ends, origin, target, selection, progress=report, abandon=self._stop_transfers)

    def _stop_transfers(self) -> None:
        if "registry" in self.__dict__:
            self.registry.stop()

    # -- archives

    def save(self, names: Sequence[str], to: str, *, form: ArchiveForm, platform: Platform | None = None) -> None:
        """Write images of the store into an archive, ``-`` for stdout, or into a layout in a folder.

        An index is written with all its images, or with the one for ``platform``, as an archive for docker is, which
        has no index. Raises NotInStore, NoMatchingPlatform, and what ``write_archive`` raises.
        """
        from ocibuild.archive import ArchiveForm, write_archive, write_layout

        with translate_errors(self._settings.root), self.store.leases.held():
            for_docker = form is ArchiveForm.DOCKER
            wanted = platform or (Platform.host() if for_docker else None)
            images = self._named_images(names, wanted, exactly=platform is not None)
            if form is ArchiveForm.FOLDER:
                write_layout(self.store.blobs, images, to)
            else:
                write_archive(self.store.blobs, images, to, for_docker=for_docker)

    def _named_images(self, names: Sequence[str], platform: Platform | None, *, exactly: bool) -> list[NamedImage]:
        """Return each image once, with the names that it was asked for by."""
        from ocibuild.archive import NamedImage
        from ocibuild.store import images_by_id

        found: dict[Descriptor, list[Reference]] = {}
        for name in names:
            image = self._find_for(name, platform) if platform and exactly else self.find(name)
            descriptor = image.descriptor if platform else self._descriptor(name)
            known = found.setdefault(descriptor, [])
            if not images_by_id(self.store, name, Platform.host()) and (tagged := Reference.parse(name)).tag:
                known.append(replace(tagged, digest=None))
        return [NamedImage(descriptor, tuple(dict.fromkeys(known))) for descriptor, known in found.items()]

    def load(self, path: str, *, platform: Platform | None = None) -> list[LoadedImage]:
        """Put all images of an archive or a layout into the store, ``-`` for standard input: see ``transfer.load``."""
        from ocibuild.transfer import load

        with self._shown(f"load {path}") as emit, translate_errors(self._settings.root), self.store.leases.held():

            def report(blob: Descriptor, done: int) -> None:
                emit(Transferred(1, blob.digest.short, "loading", done, blob.size))

            with told(emit, 1, f"loading {path}"):
                return load(
                    self.store,
                    path,
                    platform=platform,
                    limit=self._limits().total,
                    progress=report,
                    abandon=self._stop_transfers,
                )

    def import_image(self, request: ImportRequest, name: Reference | None) -> Digest:
        """Make an image of a tar of files, under a name or none, and return its ID: see ``containers.import_image``."""
        from ocibuild.containers import import_image

        with self._working() as machine, self._shown(f"import {request.path}") as emit:
            machine.use(self.store)
            done = 0

            def report(more: int) -> None:
                nonlocal done
                done += more
                emit(Transferred(1, "files", "importing", done, None))

            with told(emit, 1, f"importing {request.path}"):
                ownership = machine.ownership() if machine.can_unpack else None
                descriptor = import_image(
                    self.store, request, ownership=ownership, limits=self._limits(), progress=report
                )
            self.store.tags.give(descriptor, [name] if name else [])
        return self.image_id(descriptor)

    # -- local images

    def images(self, chosen: ImageFilter | None = None) -> list[ListedImage]:
        """Return the images of the store that are ``chosen``, once for each of their tags, the newest first."""
        from ocibuild.store import ImageFilter

        found = list(list_images(self.store, Platform.host()))[::-1]
        found.sort(key=lambda listed: listed.image.created_at, reverse=True)
        return (chosen or ImageFilter()).chosen(found, self.find)

    def remove_image(self, name: str, *, force: bool = False, keep: bool = False) -> RemovedImage:
        """Remove a name of an image, and the image with its last one: see ``ocibuild.store.remove_image``."""
        from ocibuild.store import remove_image

        # the owners of unpacked files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            return remove_image(self.store, name, Platform.host(), force=force, keep=keep)

    def find(self, name: str) -> StoredImage:
        """Return the image that a reference or an image ID names; raise NotInStore."""
        return find_image(self.store, name, Platform.host())

    def image_id(self, descriptor: Descriptor) -> Digest:
        """Return the ID of an image of the store, of an index that of the image for this machine, or its own digest."""
        try:
            return load_image(self.store.blobs, descriptor.digest, Platform.host()).manifest.config.digest
        except NotInStore:
            return descriptor.digest

    def _find_for(self, name: str, platform: Platform) -> StoredImage:
        image = find_image(self.store, name, platform)
        found = image.config.platform
        if select([replace(image.descriptor, platform=found)], platform) is None:
            raise NoMatchingPlatform(
                f"{name}: no image for {platform}; it has {found}", remedy="pull or build it for that"
            )
        return image

    def tag(self, source: str, destination: Reference) -> None:
        """Give an image of the store one more name; raise NotInStore, UsageError for a name with a digest."""
        if destination.tag is None:
            raise UsageError(f"{destination.familiar()}: a tag cannot be a digest", remedy="give NAME:TAG")
        self.store.tags.set(destination, self._descriptor(source))

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return what ``docker inspect`` shows of a container; raise NotInStore."""
        from ocibuild.containers import describe_container

        container = self.find_container(name)
        try:
            image_id = load_image(self.store.blobs, container.image, Platform.host()).manifest.config.digest
        except NotInStore:  # another tool has removed it
            image_id = container.image
        return describe_container(container, image_id)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what ``docker inspect`` shows of an image."""
        image = self.find(name)
        names = [
            listed.reference
            for listed in self.images()
            if listed.reference and listed.image.descriptor.digest == image.descriptor.digest
        ]
        return describe_image(image, names)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return what ``docker history`` shows of an image, newest first."""
        return describe_history(self.find(name))

    def _descriptor(self, name: str) -> Descriptor:
        """Return what a name stands for as it is tagged: the index, where it is one."""
        return find_entry(self.store, name, Platform.host())

    # -- what takes room

    def usage(self) -> list[Item]:
        """Return what takes room in the store beside its images, the least recently used first."""
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            return self.store.usage.items()

    def inputs(self, items: Sequence[Item]) -> dict[str, tuple[Digest, dict[str, Any]]]:
        """Return the cache key of each result of a step, and the inputs that it is of, by the item's ID.

        Results of versions that did not keep them are left out.
        """
        numbers = [int(item.id) for item in items if item.kind.value == "regular"]
        found = self.store.records.inputs.of_snapshots(numbers)
        return {str(number): (key, json.loads(text)) for number, (key, text) in found.items()}

    def prune(self, pruning: Pruning) -> list[Item]:
        """Remove what ``pruning`` says, and what killed processes have left; return what was removed."""
        # the owners of files may be IDs that only this user's namespace has
        with self._machine() as machine, translate_errors(self._settings.root):
            machine.use(self.store)
            for left in (self.store.snapshots, self.store.trees, self.store.caches):
                left.recover()
            return self.store.usage.prune(pruning)

    # -- checking

    def validate(self, target: str, *, all_faults: bool = False) -> Report:
        """Check a layout, an archive, or else an image of the store, against the schemas and every digest."""
        from ocibuild.archive import validate_path, validate_stored

        if os.path.exists(target):
            return validate_path(target, all_faults=all_faults)
        try:
            descriptor = self._descriptor(target)
        except NotInStore as error:
            raise NotInStore(f"{target}: neither a file or folder nor an image in the store") from error
        return validate_stored(self.store, descriptor, subject=target, all_faults=all_faults)

    @contextmanager
    def _shown(self, title: str) -> Iterator[Display]:
        with display(self._settings.progress, self._settings.stream, title=title) as shown:
            self._emit = shown
            try:
                yield shown
            finally:
                self._emit = None

    def _write_warning(self, message: str) -> None:
        """Write a warning where there is no progress that would show it."""
        self._settings.stream.write(f"WARNING: {message}\n")

    def _warn(self, message: str) -> None:
        if self._emit is not None:
            self._emit(Warned(message))


def examine(root: str | None, config: str | None, forced: Forced) -> Diagnosis:
    """Try what this machine allows a build with its store at ``root``; where that is None there is no place for one.

    ``config`` is the configuration's file.
    """
    from ocibuild.executor.probe import diagnose

    path = None if root is None else os.path.abspath(root)
    proot = _load_config(config).proot
    with translate_errors(path or "the folder for temporary files"):
        return diagnose(path, os.environ, forced, proot=proot)


def _load_config(path: str | None) -> RegistryConfig:
    from ocibuild.registry import RegistryConfig, usual_certificate_folders

    return RegistryConfig.load(path, certificate_folders=usual_certificate_folders(os.environ))


def _need_terminal() -> None:
    from ocibuild.executor.terminal import users_terminal

    if users_terminal() is None:
        raise UsageError(
            "--debug-on-failure needs a terminal on standard input", remedy="leave it out where nobody can type"
        )
