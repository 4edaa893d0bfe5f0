"""``ocibuild exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.background import in_background
from ocibuild.cli.common import check_streams, refused_options, session
from ocibuild.cli.environment import environment, environment_options
from ocibuild.cli.failures import report
from ocibuild.errors import CannotStart, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.containers.entering import ExecRequest


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("name", metavar="CONTAINER")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-d", "--detach", is_flag=True, help="Run it in the background.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the process a terminal.")
@environment_options
@click.option("-w", "--workdir", metavar="DIR", help="The working directory.  [default: the container's]")
@click.option("-u", "--user", metavar="USER[:GROUP]", help="The user.  [default: the container's]")
@refused_options("--privileged", "--detach-keys")
@click.pass_context
def exec_(ctx: click.Context, /, name: str, command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND in a container that runs; it ends with the container's own process at the latest."""
    from ocibuild.containers.entering import ExecRequest

    check_streams(options)
    if options["detach"] and (options["interactive"] or options["terminal"]):
        raise UsageError("-d has no streams", remedy="leave out -i and -t")
    request = ExecRequest(
        command,
        env=environment(options["env_files"], options["env"]),
        user=options["user"],
        working_dir=options["workdir"],
        interactive=options["interactive"],
        terminal=options["terminal"],
    )
    try:
        if options["detach"]:
            ctx.exit(in_background(lambda begun: _execute(ctx, name, request, lambda: begun("begun")))[1])
        ctx.exit(_execute(ctx, name, request))
    except CannotStart as error:
        ctx.exit(report(error, error.exit_status))


def _execute(ctx: click.Context, name: str, request: ExecRequest, begun: Callable[[], None] = lambda: None) -> int:
    with session(ctx) as current:
        return current.execute(name, request, begun=begun)
