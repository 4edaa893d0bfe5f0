"""``ocibuild run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.background import in_background
from ocibuild.cli.common import check_streams, forced_options, refused_options, resource_options, resources, session
from ocibuild.cli.environment import environment, environment_options
from ocibuild.cli.failures import report
from ocibuild.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.containers.run import RunRequest
    from ocibuild.store import Container


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("reference", metavar="IMAGE")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", "removes", is_flag=True, help="Remove the container when it has ended.")
@click.option("--name", metavar="NAME", help="The container's name.")
@click.option("-d", "--detach", is_flag=True, help="Run it in the background, and print its ID.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the process a terminal.")
@environment_options
@click.option(
    "-v", "--volume", "volumes", multiple=True, metavar="PATH:TARGET[:ro]", help="Show a file or folder in it."
)
@click.option(
    "--mount", "mounts", multiple=True, metavar="SPEC", help="type=bind or tmpfs, source=, target=, readonly."
)
@click.option("--init", is_flag=True, help="Put an init before it: signals are passed on, and orphans reaped.")
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
@refused_options("--privileged", "--cap-add", "--cap-drop", "-l", "--label", "--restart")
@click.pass_context
def run(ctx: click.Context, /, reference: str, command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND in a new container of IMAGE, which is pulled where it is not here.

    The container stays with what it changed, to be looked at and committed, until `ocibuild rm` removes it.
    """
    from ocibuild.oci import Platform

    check_streams(options)
    request = _request(command, options)
    platform = Platform.parse(options["platform"]) if options["platform"] else None

    def run_it(begun: Callable[[Container], None] | None = None) -> int:
        with session(ctx) as current:
            return current.run(reference, request, platform=platform, pulls=options["pull"] == "missing", begun=begun)

    try:
        if not options["detach"]:
            ctx.exit(run_it())
        # in a process of its own, which goes on when this one has printed the container's ID
        has_input = request.interactive
        container_id, status = in_background(
            lambda begun: run_it(lambda container: begun(container.id)), has_input=has_input
        )
    except CannotStart as error:
        ctx.exit(report(error, error.exit_status))
    if container_id:
        click.echo(container_id)
    ctx.exit(status)


def _request(command: tuple[str, ...], options: dict[str, Any]) -> RunRequest:
    from ocibuild.cli.runmounts import parse_mount, parse_volume
    from ocibuild.containers.run import RunRequest
    from ocibuild.executor import Connection, Forced

    connections = {"none": Connection.NONE, "pasta": Connection.PASTA}
    return RunRequest(
        command=command,
        entrypoint=options["entrypoint"],
        env=environment(options["env_files"], options["env"]),
        user=options["user"],
        working_dir=options["workdir"],
        connection=connections.get(options["network"], Connection.MACHINE),
        hostname=options["hostname"],
        mounts=(*map(parse_volume, options["volumes"]), *map(parse_mount, options["mounts"])),
        # whoever is detached has nobody who types
        interactive=options["interactive"] and not (options["detach"] and options["terminal"]),
        terminal=options["terminal"],
        read_only=options["read_only"],
        init=options["init"],
        name=options["name"],
        removes=options["removes"],
        keeps_log=options["detach"] or not options["removes"],
        **resources(options),
        forced=Forced(options["executor"], options["snapshotter"]),
    )
