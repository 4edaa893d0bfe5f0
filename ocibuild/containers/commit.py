"""An image made of a container: its image, and what it changed as one layer more."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile import changed_config
from ocibuild.errors import NotInStore, StoreError
from ocibuild.graph import format_time
from ocibuild.layer.compression import compression_threads
from ocibuild.oci import Descriptor, History, Platform, RunConfig
from ocibuild.output import write_image
from ocibuild.store import load_image
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.store import Container, Store, StoredImage


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What is said of the new image: instructions that change its config, a comment and an author of its history."""

    changes: tuple[str, ...] = ()
    message: str = ""
    author: str = ""


def commit(store: Store, snapshotter: Snapshotter, container: Container, request: CommitRequest) -> Descriptor:
    """Make an image of a container, which goes on if it runs, and return its manifest.

    Its config is how the container was run, as the request changes it. Raises StoreError where blobs of its image are
    gone or what it has changed is known at its end only, InvalidLayer where it changes a file meanwhile, UsageError for
    changes that are none.
    """
    if container.is_running and not snapshotter.shows_running:
        raise StoreError(f"{container.name}: the container runs", remedy="commit it when it has ended")
    image = _image_of(store, container)
    run = replace(image.config, config=RunConfig.from_json(container.config["config"]))
    config = changed_config(run, request.changes)
    stack, own = store.containers.stack(container), store.containers.own(container)
    layer = snapshotter.pack(stack, own, threads=compression_threads())
    created = format_time(time.time_ns())
    command = shlex.join([*(run.config.entrypoint or ()), *(run.config.cmd or ())])
    history = History(created, created_by=command, author=request.author, comment=request.message)
    new = replace(
        image.config,
        created=created,
        author=request.author or image.config.author,
        config=config,
        diff_ids=(*image.config.diff_ids, layer.diff_id),
        history=(*image.config.history, history),
    )
    layers = [*(one.descriptor for one in image.layers), layer.descriptor]
    return write_image(store.blobs, new, layers, {})


def _image_of(store: Store, container: Container) -> StoredImage:
    image = load_image(store.blobs, container.image, Platform.host())
    for layer in image.layers:
        if not store.blobs.has(layer.descriptor.digest):
            raise NotInStore(f"{container.name}: a layer of its image is gone", remedy="pull the image again")
    return image
