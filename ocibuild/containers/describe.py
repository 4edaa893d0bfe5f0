"""A container as ``docker inspect`` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocibuild.graph import format_time
from ocibuild.oci import RunConfig
from ocibuild.output import describe_config

if TYPE_CHECKING:
    from ocibuild.oci import Digest
    from ocibuild.store import Container

_NEVER = "0001-01-01T00:00:00Z"


def describe_container(container: Container, image_id: Digest) -> dict[str, Any]:
    """Return a container with docker's names of its members; ``Pid`` is that of the process that runs it."""
    config = describe_config(RunConfig.from_json(container.config["config"]))
    command: list[str] = [*config["Entrypoint"], *config["Cmd"]]
    return {
        "Id": container.id,
        "Created": format_time(container.created),
        "Path": command[0],
        "Args": command[1:],
        "State": {
            "Status": "running" if container.is_running else "exited",
            "Running": container.is_running,
            "Pid": container.runner if container.is_running else 0,
            "ExitCode": container.exit_status or 0,
            "StartedAt": format_time(container.created),
            "FinishedAt": _NEVER if container.finished is None else format_time(container.finished),
        },
        "Image": image_id,
        "Name": f"/{container.name}",
        "Platform": "linux",
        "Config": {
            "Hostname": container.config["hostname"] or container.id[:12],
            "Tty": container.config["tty"],
            "Image": container.image_name,
            **config,
        },
    }
