"""``ocibuild run``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.common import forced_options, refused_options, resource_options, resources, session
from ocibuild.cli.failures import report
from ocibuild.errors import CannotStart, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.containers import RunRequest
    from ocibuild.oci import Platform
    from ocibuild.store import Container


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("reference", metavar="IMAGE")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", "removes", is_flag=True, help="Remove the container when it has ended.")
@click.option("--name", metavar="NAME", help="The container's name.")
@click.option("-d", "--detach", is_flag=True, help="Run it in the background, and print its ID.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the process a terminal.")
@click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set an environment variable.")
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Set those of a file, one a line.")
@click.option(
    "-v", "--volume", "volumes", multiple=True, metavar="PATH:TARGET[:ro]", help="Show a file or folder in it."
)
@click.option(
    "--mount", "mounts", multiple=True, metavar="SPEC", help="type=bind or tmpfs, source=, target=, readonly."
)
@click.option("--read-only", is_flag=True, help="Let it change nothing but what is mounted.")
@click.option("-w", "--workdir", metavar="DIR", help="The working directory.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="The user.")
@click.option("--entrypoint", metavar="PROGRAM", help="Instead of the image's ENTRYPOINT.")
@click.option(
    "--network", type=click.Choice(["default", "host", "none", "pasta"]), default="default", show_default=True
)
@click.option("--platform", metavar="P", help="Refuse an image for another platform.")
@click.option(
    "--pull", type=click.Choice(["missing", "never"]), default="missing", show_default=True, help="When to pull."
)
@forced_options
@resource_options
@click.option("-h", "--hostname", help="The name of its machine.  [default: its ID]")
@refused_options(
    "-p", "--publish", "-P", "--publish-all", remedy="the host's network is used: its ports are the host's"
)
@refused_options("--init", "--privileged", "--cap-add", "--cap-drop", "-l", "--label", "--restart")
@click.pass_context
def run(ctx: click.Context, /, reference: str, command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND in a new container of IMAGE, which is pulled where it is not here.

    The container stays with what it changed, to be looked at and committed, until `ocibuild rm` removes it.
    """
    from ocibuild.oci import Platform

    if options["detach"]:
        if options["interactive"] or options["terminal"]:
            raise UsageError("-d has no streams", remedy="leave out -i and -t")
        ctx.exit(_detached(ctx, reference, command, options))
    if options["terminal"] and options["interactive"] and not os.isatty(0):
        raise UsageError("the input device is not a TTY", remedy="leave out -t where standard input is no terminal")
    platform = Platform.parse(options["platform"]) if options["platform"] else None
    ctx.exit(_run(ctx, reference, _request(command, options), platform, pulls=options["pull"] == "missing"))


def _run(
    ctx: click.Context,
    name: str,
    request: RunRequest,
    platform: Platform | None,
    *,
    pulls: bool,
    begun: Callable[[Container], None] = lambda _container: None,
) -> int:
    try:
        with session(ctx) as current:
            return current.run(name, request, platform=platform, pulls=pulls, begun=begun)
    except CannotStart as error:
        return report(error, error.exit_status)


def _detached(ctx: click.Context, name: str, command: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run the container in a process of its own, which goes on when this one has printed the container's ID.

    What goes wrong before the container is there, that process says itself.
    """
    from ocibuild.oci import Platform

    request = _request(command, options)
    platform = Platform.parse(options["platform"]) if options["platform"] else None
    ours, theirs = os.pipe()
    child = os.fork()  # this process has one thread
    if child:
        os.close(theirs)
        with os.fdopen(ours, encoding="ascii") as told:
            container_id = told.read()
        if container_id:
            click.echo(container_id)
            return 0
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(ours)
    os.setsid()
    stderr = _be_silent()

    def begun(container: Container) -> None:
        nonlocal stderr
        os.close(stderr)
        stderr = -1
        os.write(theirs, container.id.encode())
        os.close(theirs)

    try:
        return _run(ctx, name, request, platform, pulls=options["pull"] == "missing", begun=begun)
    except BaseException:
        if stderr >= 0:  # nobody hears it any more where the container has begun
            os.dup2(stderr, 2)
        raise


def _be_silent() -> int:
    """Give this process no streams, and return what standard error was.

    Whoever waits for the end of our output must not wait for what is started from here on.
    """
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return stderr


def _request(command: tuple[str, ...], options: dict[str, Any]) -> RunRequest:
    from ocibuild.cli.runmounts import parse_mount, parse_volume
    from ocibuild.containers import RunRequest
    from ocibuild.executor import Connection, Forced

    connections = {"none": Connection.NONE, "pasta": Connection.PASTA}
    of_files = [setting for path in options["env_files"] for setting in _settings_in(path)]
    return RunRequest(
        command=command,
        entrypoint=options["entrypoint"],
        env=tuple(_environment([*of_files, *options["env"]])),
        user=options["user"],
        working_dir=options["workdir"],
        connection=connections.get(options["network"], Connection.MACHINE),
        hostname=options["hostname"],
        mounts=(*map(parse_volume, options["volumes"]), *map(parse_mount, options["mounts"])),
        interactive=options["interactive"],
        terminal=options["terminal"],
        read_only=options["read_only"],
        name=options["name"],
        removes=options["removes"],
        keeps_log=options["detach"] or not options["removes"],
        **resources(options),
        forced=Forced(options["executor"], options["snapshotter"]),
    )


def _settings_in(path: str) -> list[str]:
    """Return the settings of a file, one a line, but for comments."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n").lstrip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--env-file {path}: {error}") from error
    return [line for line in lines if line and not line.startswith("#")]


def _environment(values: list[str]) -> list[str]:
    """Return ``NAME=value`` for each; a name alone takes this process's value, and is left out where it has none."""
    return [
        value if "=" in value else f"{value}={os.environ[value]}"
        for value in values
        if "=" in value or value in os.environ
    ]
