from __future__ import annotations

import pytest

from ocibuild.containers.run import RunRequest, container_config, process_of
from ocibuild.errors import UsageError
from ocibuild.executor import Connection, Process
from ocibuild.oci import RunConfig

CONFIG = RunConfig(
    entrypoint=("/entry", "-x"), cmd=("serve",), env=("PATH=/own", "A=1"), user="app", working_dir="/srv"
)


def _process(config: RunConfig, request: RunRequest) -> Process:
    return process_of(container_config(config, request), request, hostname="here")


@pytest.mark.parametrize(
    ("request_", "args"),
    [
        (RunRequest(), ("/entry", "-x", "serve")),
        (RunRequest(command=("other", "1")), ("/entry", "-x", "other", "1")),
        (RunRequest(entrypoint="sh"), ("sh",)),
        (RunRequest(entrypoint="sh", command=("-c", "id")), ("sh", "-c", "id")),
        (RunRequest(entrypoint="", command=("id",)), ("id",)),
    ],
    ids=["image", "command", "entrypoint-drops-cmd", "both", "no-entrypoint"],
)
def test_command_is_put_together_as_docker_does(request_: RunRequest, args: tuple[str, ...]) -> None:
    assert _process(CONFIG, request_).args == args


@pytest.mark.parametrize("request_", [RunRequest(), RunRequest(entrypoint="")], ids=["none", "dropped"])
def test_image_without_a_command_is_refused(request_: RunRequest) -> None:
    config = RunConfig() if request_.entrypoint is None else CONFIG
    with pytest.raises(UsageError, match="the image has no command"):
        _process(config, request_)


def test_environment_of_the_request_comes_last() -> None:
    process = _process(CONFIG, RunRequest(env=("A=2", "B=")))
    assert process.env == ("PATH=/own", "HOSTNAME=here", "A=2", "B=")


def test_settings_of_the_image_stand_unless_they_are_changed() -> None:
    process = _process(CONFIG, RunRequest())
    assert (process.user, process.working_dir, process.connection) == ("app", "/srv", Connection.MACHINE)
    process = _process(CONFIG, RunRequest(user="", working_dir="/", connection=Connection.NONE))
    assert (process.user, process.working_dir, process.connection) == ("", "/", Connection.NONE)
