"""``ocibuild doctor``."""

from __future__ import annotations

import json

import click

from ocibuild.cli.common import session


@click.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def doctor(ctx: click.Context, form: str) -> None:
    """Show what this machine allows, what a build uses, and what to change; exit with 1 where no RUN is possible."""
    from dataclasses import asdict

    with session(ctx) as current:
        diagnosis = current.doctor()
    if form == "json":
        click.echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        for check in diagnosis.checks:
            click.echo(f"{'ok  ' if check.passed else 'no  '} {check.name}: {check.evidence}")
            if check.remedy:
                click.echo(f"     to change it: {check.remedy}")
        click.echo(f"executor: {diagnosis.executor or 'none: no RUN is possible here'}")
        click.echo(f"snapshotter: {diagnosis.snapshotter or 'none'}")
    ctx.exit(0 if diagnosis.executor else 1)
