"""A process in the root file system of an image: a container, which stays with what it changed until it is removed."""

from __future__ import annotations

import os
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.errors import CannotStart, UsageError
from ocibuild.executor import Connection, Forced, Process
from ocibuild.rootfs.stored import unpack_stored
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor import Executor
    from ocibuild.graph import ExtraHost, Ulimit
    from ocibuild.layer.owners import Ownership
    from ocibuild.oci import Limits, RunConfig
    from ocibuild.rootfs.snapshotter import Snapshotter
    from ocibuild.sandbox import Mount
    from ocibuild.store import Container, Store, StoredImage

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_RUN = 125
"""docker's exit status where the container could not be run at all."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What ``run`` changes of an image's own settings; ``env`` as ``NAME=value``, None and empty keep the image's.

    ``name`` is that of the container, and ``removes`` whether it goes with its end; ``keeps_log`` is whether what it
    writes is kept, beside being shown. ``mounts`` are what it sees of the machine. ``forced`` is how it must be run;
    the rest is as in ``Process``.
    """

    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    user: str | None = None
    working_dir: str | None = None
    connection: Connection = Connection.MACHINE
    hostname: str | None = None
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    mounts: tuple[Mount, ...] = ()
    interactive: bool = False
    terminal: bool = False
    read_only: bool = False
    init: bool = False
    name: str | None = None
    removes: bool = False
    keeps_log: bool = True
    forced: Forced = field(default_factory=Forced)


def container_config(config: RunConfig, request: RunRequest) -> RunConfig:
    """Return the settings of a container: those of its image as the request changes them.

    As in docker: an own entrypoint drops the image's CMD, a command replaces it.
    """
    entrypoint, cmd = config.entrypoint, request.command or config.cmd
    if request.entrypoint is not None:
        entrypoint, cmd = ((request.entrypoint,) if request.entrypoint else None), request.command
    env = {entry.partition("=")[0]: entry for entry in (*config.env, *request.env)}
    return replace(
        config,
        entrypoint=entrypoint,
        cmd=cmd or None,
        env=tuple(env.values()),
        user=config.user if request.user is None else request.user,
        working_dir=request.working_dir or config.working_dir,
    )


def process_of(config: RunConfig, request: RunRequest, *, hostname: str) -> Process:
    """Return the process of a container with these settings; raise UsageError where there is no command."""
    if request.working_dir and not request.working_dir.startswith("/"):
        raise UsageError(f"working directory {request.working_dir}: not an absolute path", remedy="begin it with /")
    args = (*(config.entrypoint or ()), *(config.cmd or ()))
    if not args:
        raise UsageError("the image has no command", remedy="give one after the image")
    usual = (_PATH, f"HOSTNAME={hostname}", *(("TERM=xterm",) if request.terminal else ()))
    env = {entry.partition("=")[0]: entry for entry in (*usual, *config.env)}
    return Process(
        args=args,
        env=tuple(env.values()),
        user=config.user,
        working_dir=os.path.join("/", config.working_dir),
        hostname=hostname,
        connection=request.connection,
        mounts=request.mounts,
        extra_hosts=request.extra_hosts,
        shm_size=request.shm_size,
        ulimits=request.ulimits,
        interactive=request.interactive,
        terminal=request.terminal,
        read_only=request.read_only,
        init=request.init,
    )


def run_attached(
    store: Store,
    executor: Executor,
    snapshotter: Snapshotter,
    ownership: Ownership,
    image: StoredImage,
    image_name: str,
    request: RunRequest,
    limits: Callable[[], Limits],
    begun: Callable[[Container], None] | None = None,
) -> int:
    """Run a container with the standard streams of this process and return its exit status, as a shell shows it.

    The image's layers are unpacked where they are not yet, within ``limits``. ``begun`` hears of the container when
    its process is its program. Raises UsageError, NotInStore where a layer is missing, CannotStart, SandboxError.
    """
    config = container_config(image.config.config, request)
    process_of(config, request, hostname="")  # what is wrong with it is said before there is a container
    stack = unpack_stored(store, image.layers, ownership=ownership, limits=limits)
    forced = request.forced.executor, request.forced.snapshotter
    told = {"config": config.to_json(), "tty": request.terminal, "hostname": request.hostname, "forced": forced}
    with store.containers.begin(request.name, image.descriptor.digest, image_name, stack, told) as running:
        container, active = running.container, running.active
        hostname = request.hostname or container.id[:12]
        process = replace(
            process_of(config, request, hostname=hostname),
            platform=image.config.platform,
            door=store.containers.door(container),
        )
        status = _NOT_RUN
        try:
            with snapshotter.running(stack, active, keep=not request.removes) as root:
                log = store.containers.log(container) if request.keeps_log else None
                hears = None if begun is None else partial(begun, container)
                outcome = executor.run_attached(process, root, active.scratch, log=log, begun=hears)
                if not request.removes:
                    snapshotter.forget_targets(active, outcome.created, outcome.touched)
            status = outcome.exit_status
        except CannotStart as error:
            status = error.exit_status
            raise
        finally:
            running.end(status)
            if request.removes:
                running.discard()
    return status
