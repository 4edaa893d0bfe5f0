"""``ocibuild run``."""

from __future__ import annotations

import os
from typing import Any

import click

from ocibuild.cli.common import forced_options, refused_options, resource_options, resources, session
from ocibuild.cli.failures import report
from ocibuild.errors import CannotStart, UsageError


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("reference")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", is_flag=True, help="Accepted: nothing is ever kept.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the process a terminal.")
@click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set an environment variable.")
@click.option("-w", "--workdir", metavar="DIR", help="The working directory.")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="The user.")
@click.option("--entrypoint", metavar="PROGRAM", help="Instead of the image's ENTRYPOINT.")
@click.option(
    "--network", type=click.Choice(["default", "host", "none", "pasta"]), default="default", show_default=True
)
@click.option("--platform", metavar="P", help="Refuse an image for another platform.")
@forced_options
@resource_options
@click.option("-h", "--hostname", default="ocibuild", show_default=True)
@refused_options("-d", "--detach", "-v", "--volume", "--mount", "--name", "--env-file", "--read-only", "--init")
@click.pass_context
def run(ctx: click.Context, /, reference: str, command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND in the image REFERENCE, in the foreground; what it changes is thrown away."""
    from ocibuild.containers import RunRequest
    from ocibuild.executor import Connection, Forced
    from ocibuild.oci import Platform

    if options["terminal"] and options["interactive"] and not os.isatty(0):
        raise UsageError("the input device is not a TTY", remedy="leave out -t where standard input is no terminal")
    connections = {"none": Connection.NONE, "pasta": Connection.PASTA}
    platform = Platform.parse(options["platform"]) if options["platform"] else None
    request = RunRequest(
        command=command,
        entrypoint=options["entrypoint"],
        env=tuple(_environment(options["env"])),
        user=options["user"],
        working_dir=options["workdir"],
        connection=connections.get(options["network"], Connection.MACHINE),
        hostname=options["hostname"],
        interactive=options["interactive"],
        terminal=options["terminal"],
        **resources(options),
        forced=Forced(options["executor"], options["snapshotter"]),
    )
    try:
        with session(ctx) as current:
            status = current.run(reference, request, platform=platform)
    except CannotStart as error:
        status = report(error, error.exit_status)
    ctx.exit(status)


def _environment(values: tuple[str, ...]) -> list[str]:
    """Return ``NAME=value`` for each; a name alone takes this process's value, and is left out where it has none."""
    return [
        value if "=" in value else f"{value}={os.environ[value]}"
        for value in values
        if "=" in value or value in os.environ
    ]
