"""A foreground process in the root file system of an image; what it changes is thrown away."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from ocibuild.errors import UsageError
from ocibuild.executor import Connection, Forced, Process
from ocibuild.rootfs import unpack_stored
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.executor import Executor
    from ocibuild.graph import ExtraHost, Ulimit
    from ocibuild.layer import Ownership
    from ocibuild.oci import Limits, RunConfig
    from ocibuild.rootfs import Snapshotter
    from ocibuild.store import Store, StoredImage

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What ``run`` changes of an image's own settings; ``env`` as ``NAME=value``, None and empty keep the image's.

    ``forced`` is how it must be run; the rest is as in ``Process``.
    """

    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    user: str | None = None
    working_dir: str | None = None
    connection: Connection = Connection.MACHINE
    hostname: str = "ocibuild"
    extra_hosts: tuple[ExtraHost, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    interactive: bool = False
    terminal: bool = False
    forced: Forced = field(default_factory=Forced)


def process_of(config: RunConfig, request: RunRequest) -> Process:
    """Return the process that an image and a request ask for; raise UsageError where there is no command.

    As in docker: an own entrypoint drops the image's CMD, a command replaces it.
    """
    if request.entrypoint is not None:
        args = (*((request.entrypoint,) if request.entrypoint else ()), *request.command)
    else:
        args = (*(config.entrypoint or ()), *(request.command or config.cmd or ()))
    if not args:
        raise UsageError("the image has no command", remedy="give one after the image")
    env: dict[str, str] = {}
    usual = (_PATH, f"HOSTNAME={request.hostname}", *(("TERM=xterm",) if request.terminal else ()))
    for entry in (*usual, *config.env, *request.env):
        name, _, value = entry.partition("=")
        env[name] = value
    return Process(
        args=args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        user=config.user if request.user is None else request.user,
        working_dir=request.working_dir or config.working_dir or "/",
        hostname=request.hostname,
        connection=request.connection,
        extra_hosts=request.extra_hosts,
        shm_size=request.shm_size,
        ulimits=request.ulimits,
        interactive=request.interactive,
        terminal=request.terminal,
    )


def run_attached(
    store: Store,
    executor: Executor,
    snapshotter: Snapshotter,
    ownership: Ownership,
    image: StoredImage,
    request: RunRequest,
    limits: Callable[[], Limits],
) -> int:
    """Run a process with the standard streams of this one and return its exit status, as a shell shows it.

    The image's layers are unpacked where they are not yet, within ``limits``. Raises NotInStore where one is missing,
    SandboxError where the process cannot be started.
    """
    process = replace(process_of(image.config.config, request), platform=image.config.platform)

    stack = unpack_stored(store, image.layers, ownership=ownership, limits=limits)
    with store.snapshots.begin() as active, snapshotter.running(stack, active, keep=False) as root:
        return executor.run_attached(process, root, active.scratch).exit_status
