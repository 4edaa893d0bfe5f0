"""``ocibuild doctor``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ocibuild.api import examine
from ocibuild.cli.common import forced_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.executor import Choice
    from ocibuild.executor.probe import Diagnosis


@click.command()
@forced_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def doctor(ctx: click.Context, executor: str, snapshotter: str, form: str) -> None:
    """Show what this machine allows, what a build uses, and what to change; exit with 1 where no RUN is possible.

    With --executor or --snapshotter, what a build with that flag does.
    """
    from ocibuild.executor import Forced

    settings = ctx.find_root().obj
    diagnosis = examine(settings["root"], settings["config"], Forced(executor, snapshotter))
    if form == "json":
        click.echo(json.dumps(_document(diagnosis), indent=2))
    else:
        click.echo("\n".join(_lines(diagnosis)))
    ctx.exit(0 if diagnosis.possible else 1)


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    from dataclasses import asdict

    choice, better = diagnosis.choice, diagnosis.better
    return {
        "possible": diagnosis.possible,
        "row": choice.row.value,
        "executor": choice.executor,
        "namespaces": choice.namespaces,
        "snapshotter": choice.snapshotter,
        "ids": choice.ids and choice.ids.name.lower(),
        "owners_recorded": choice.owners_recorded,
        "why": choice.why,
        "better": better and {"row": better.row.value, "change": better.change},
        "checks": [asdict(check) for check in diagnosis.checks],
    }


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    for check in diagnosis.checks:
        remedy = f" ({check.remedy})" if check.remedy else ""
        yield f"{'ok' if check.passed else 'no'}  {check.name}: {check.evidence}{remedy}"
    choice = diagnosis.choice
    yield ""
    yield f"row: {choice.row.value}"
    yield f"executor: {_executor(choice)}"
    yield f"snapshotter: {choice.snapshotter or 'none'}"
    yield f"ids: {_ids(choice)}"
    yield f"why: {choice.why}"
    if choice.executor and not diagnosis.possible:
        yield "but: no RUN is possible before there is a store"
    if diagnosis.better is not None:
        yield f"better: {diagnosis.better.row.value}: {diagnosis.better.change}"


def _executor(choice: Choice) -> str:
    if choice.executor is None:
        return "none: no RUN is possible here"
    return f"{choice.executor}, {'in' if choice.namespaces else 'without'} namespaces"


def _ids(choice: Choice) -> str:
    if choice.ids is None:
        return "none"
    name = choice.ids.name.lower()
    if name != "one":
        return name
    return "one, owners recorded" if choice.owners_recorded else "one, every owner becomes root"
