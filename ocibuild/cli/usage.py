"""``ocibuild du`` and ``prune``."""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.common import session
from ocibuild.cli.listing import listed, plain_columns
from ocibuild.cli.text import age, printable, shown_inputs, size
from ocibuild.graph import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.oci import Digest
    from ocibuild.store import Item, Pruning

    Record = tuple[Digest, dict[str, Any]]

_FORMAT = click.Choice(["table", "json"])
_SECOND = 10**9
_WIDTH = 60
_EXPLAINED = {
    "type": "there are regular, layer, exec.cachemount, source.git.checkout and blob",
    "id": "an ID is missing",
    "until": "not a span of time such as 24h, nor a time",
}


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show all of each item.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only until=, type= or id=.")
@click.option("--format", "form", type=_FORMAT, default="table", show_default=True)
@click.pass_context
def du(ctx: click.Context, verbose: bool, filters: tuple[str, ...], form: str) -> None:  # noqa: FBT001
    """Show what takes room in the store beside its images: the build cache."""
    pruning = _pruning(filters)
    with session(ctx) as current:
        items = [one for one in current.usage() if pruning.means(one)]
        records = current.inputs(items) if verbose else {}
    if form == "json":
        for item in items:
            click.echo(json.dumps(_document(item) | _record_document(records.get(item.id))))
        return
    if verbose:
        click.echo("".join(f"{_whole(item)}{_record(records.get(item.id))}\n" for item in items), nl=False)
    elif items:
        columns = plain_columns("ID", "TYPE", "RECLAIMABLE", "SIZE", "LAST USED", "WHAT")
        click.echo(listed([_row(item) for item in items], "table", columns), nl=False)
    click.echo(f"Reclaimable: {size(sum(one.size for one in items if not one.in_use))}")
    click.echo(f"Total: {size(sum(one.size for one in items))}")


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also what images of the store have.")
@click.option("-f", "--force", is_flag=True, help="Accepted for docker's sake: nothing is asked.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only until=, type= or id=.")
@click.option("--keep-storage", metavar="SIZE", help="Keep so much, of what was used last.")
@click.option("--format", "form", type=_FORMAT, default="table", show_default=True)
@click.pass_context
def prune(
    ctx: click.Context,
    everything: bool,  # noqa: FBT001
    force: bool,  # noqa: ARG001, FBT001
    filters: tuple[str, ...],
    keep_storage: str | None,
    form: str,
) -> None:
    """Remove what takes room in the store beside its images, but for what a running build uses."""
    from dataclasses import replace

    pruning = replace(_pruning(filters), everything=everything, keep=_bytes(keep_storage))
    with session(ctx) as current:
        removed = current.prune(pruning)
    if form == "json":
        for item in removed:
            click.echo(json.dumps(_document(item)))
        return
    if removed:
        columns = plain_columns("ID", "TYPE", "SIZE", "LAST USED", "WHAT")
        click.echo(listed([_row(item) for item in removed], "table", columns), nl=False)
    click.echo(f"Total: {size(sum(one.size for one in removed))}")


def _pruning(filters: tuple[str, ...]) -> Pruning:
    from ocibuild.graph import parse_moment
    from ocibuild.store import Kind, Pruning

    kinds, ids, until = set(), set(), None
    for one in filters:
        key, _, value = one.partition("=")
        match key:
            case "type" if value in {kind.value for kind in Kind}:
                kinds.add(Kind(value))
            case "id" if value:
                ids.add(value)
            case "until" if (until := parse_moment(value)) is not None:
                pass
            case "type" | "id" | "until":
                raise click.UsageError(f"--filter {one}: {_EXPLAINED[key]}")
            case _:
                raise click.UsageError(f"--filter {one}: not supported; there are until=, type= and id=")
    return Pruning(kinds=frozenset(kinds), ids=frozenset(ids), until=until)


def _bytes(text: str | None) -> int | None:
    from ocibuild.graph import parse_size

    if text is None:
        return None
    found = parse_size(text)
    if found is None:
        raise click.UsageError(f"--keep-storage {text}: not a size (one looks like 10GB)")
    return found


def _document(item: Item) -> dict[str, Any]:
    return {
        "ID": item.id,
        "Type": item.kind.value,
        "CreatedAt": format_time(item.created),
        "LastUsedAt": format_time(item.used),
        "Size": item.size,
        "Reclaimable": not item.in_use,
        "Shared": item.shared,
        "Description": item.label,
    }


def _row(item: Item) -> dict[str, str]:
    what = printable(item.label)
    return {
        "ID": _short(item.id),
        "TYPE": item.kind.value,
        "RECLAIMABLE": str(not item.in_use).lower(),
        "SIZE": size(item.size),
        "LAST USED": age(format_time(item.used), time.time()),
        "WHAT": what if len(what) <= _WIDTH else f"{what[: _WIDTH - 1]}…",
    }


def _whole(item: Item) -> str:
    """Return an item as ``docker buildx du --verbose`` shows one."""
    lines = {
        "ID": item.id,
        "Created at": format_time(item.created),
        "Reclaimable": str(not item.in_use).lower(),
        "Shared": str(item.shared).lower(),
        "Size": size(item.size),
        "Description": printable(item.label),
        "Last used": age(format_time(item.used), time.time()),
        "Type": item.kind.value,
    }
    return _aligned(lines)


def _aligned(lines: Mapping[str, str]) -> str:
    return "".join(f"{key}:{' ' * (14 - len(key))}{value}\n" for key, value in lines.items())


def _record(record: Record | None) -> str:
    """Return the key of a step's result and the inputs that tell most of it."""
    if record is None:
        return ""
    key, inputs = record
    shown = shown_inputs(inputs)
    lines = {"Key": key, "Kind": shown["kind"]}
    lines |= {name.capitalize(): shown[name] for name in ("base", "parent") if name in shown}
    if "command" in shown:
        lines["Command"] = printable(shlex.join(shown["command"]))
    if "sources" in shown:
        lines["Sources"] = printable(json.dumps(shown["sources"]))
    return _aligned(lines)


def _record_document(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {}
    return {"Key": record[0], "Inputs": shown_inputs(record[1])}


def _short(name: str) -> str:
    return name.removeprefix("sha256:")[:12]
