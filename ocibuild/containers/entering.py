"""One more process in a container that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.containers.run import RunRequest, container_config, process_of
from ocibuild.errors import StoreError, UsageError
from ocibuild.executor.entering import run_inside
from ocibuild.oci import RunConfig
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.store import Container, Store


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A command, and what it has that is not as the container has it; ``env`` as ``NAME=value``."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str | None = None
    working_dir: str | None = None
    interactive: bool = False
    terminal: bool = False


def run_in_container(
    store: Store, container: Container, request: ExecRequest, begun: Callable[[], None] = lambda: None
) -> int:
    """Run a command in a container, with our standard streams, and return its exit status, as a shell shows it.

    ``begun`` is as in ``run_inside()``. Raises StoreError where the container does not run.
    """
    if not request.command:
        raise UsageError("there is no command", remedy="give one after the container")
    if not container.is_running:
        raise StoreError(f"{container.name}: the container does not run", remedy="run it with `ocibuild run -d`")
    run = RunRequest(
        command=request.command,
        entrypoint="",
        env=request.env,
        user=request.user,
        working_dir=request.working_dir,
        interactive=request.interactive,
        terminal=request.terminal,
    )
    config = container_config(RunConfig.from_json(container.config["config"]), run)
    hostname = container.config.get("hostname") or container.id[:12]
    return run_inside(
        store.containers.door(container),
        process_of(config, run, hostname=hostname),
        is_open=lambda: store.containers.find(container.id).is_running,
        begun=begun,
    )
