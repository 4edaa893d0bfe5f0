"""``ocibuild validate``."""

from __future__ import annotations

import json

import click

from ocibuild.cli.common import session


@click.command()
@click.argument("target", metavar="PATH_OR_REFERENCE")
@click.option("--all", "all_faults", is_flag=True, help="Show every fault, not only the first.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def validate(ctx: click.Context, target: str, all_faults: bool, form: str) -> None:  # noqa: FBT001
    """Check a layout, an OCI archive, an image of the store, or docker://REF in a registry.

    Exits with 1 where anything is wrong with it. What `ocibuild copy` reads from can be checked by its transport.
    """
    with session(ctx) as current:
        report = current.validate(target, all_faults=all_faults)
    if form == "json":
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        for fault in report.faults:
            click.echo(f"ocibuild: {fault}", err=True)
        if not report.faults:
            click.echo(f"{target}: valid")
    ctx.exit(1 if report.faults else 0)
