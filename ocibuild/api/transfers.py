"""Images pulled, pushed and copied, and archives of them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.api.localimages import LocalImages
from ocibuild.errors import Unauthorized
from ocibuild.graph import Transferred, told
from ocibuild.oci import Platform, Reference
from ocibuild.store import Store, translate_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.archive import ArchiveForm, NamedImage
    from ocibuild.containers.importing import ImportRequest
    from ocibuild.graph import Emit
    from ocibuild.machine import Machine
    from ocibuild.oci import Descriptor, Digest
    from ocibuild.registry import Kept
    from ocibuild.store import Layer
    from ocibuild.transfer import LoadedImage


class Transfers(LocalImages):
    """See ``Session``."""

    def pull(self, reference: Reference, platform: Platform) -> Descriptor:
        """Pull an image into the store under its tag, unpacked, and return the descriptor of its manifest.

        Where this machine cannot unpack, the layers are only checked.
        """
        title = f"pull {reference.familiar()}"
        with self._working() as machine, self._shown(title) as emit, translate_errors(self._settings.root):
            machine.use(self.store)
            return self._pull(machine, reference, platform, emit)

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

    def save(self, names: Sequence[str], to: str, *, form: ArchiveForm, platform: Platform | None = None) -> None:
        """Write images of the store into an archive, ``-`` for stdout, or into a layout in a folder.

        An index is written with all its images, or with the one for ``platform``, as an archive for docker is, which
        has no index. Raises NotInStore, NoMatchingPlatform, and what ``write_archive`` raises.
        """
        from ocibuild.archive import ArchiveForm, write_archive, write_layout

        with translate_errors(self._settings.root), self.store.leases.held():
            for_docker = form is ArchiveForm.DOCKER
            images = self._named_images(names, platform, one_platform=for_docker)
            if form is ArchiveForm.FOLDER:
                write_layout(self.store.blobs, images, to)
            else:
                write_archive(self.store.blobs, images, to, for_docker=for_docker)

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
        from ocibuild.containers.importing import import_image

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

    def _named_images(self, names: Sequence[str], platform: Platform | None, *, one_platform: bool) -> list[NamedImage]:
        """Return each image once, with the names that it was asked for by; of an index one for docker, see ``save``."""
        from ocibuild.archive import NamedImage
        from ocibuild.store import images_by_id

        found: dict[Descriptor, list[Reference]] = {}
        for name in names:
            if platform is not None:
                descriptor = self._find_for(name, platform).descriptor
            else:
                descriptor = self.find(name).descriptor if one_platform else self._descriptor(name)
            known = found.setdefault(descriptor, [])
            if not images_by_id(self.store, name, Platform.host()) and (tagged := Reference.parse(name)).tag:
                known.append(replace(tagged, digest=None))
        return [NamedImage(descriptor, tuple(dict.fromkeys(known))) for descriptor, known in found.items()]
