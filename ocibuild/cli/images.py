"""``ocibuild images``, ``tag``, ``inspect`` and ``history``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.common import refused_options, session
from ocibuild.cli.text import age, size, table

if TYPE_CHECKING:
    from ocibuild.store import ListedImage

_FORMAT = click.Choice(["table", "json"])


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also images that no tag names.")
@click.option("-q", "--quiet", is_flag=True, help="Print image IDs alone.")
@click.option("--digests", is_flag=True, help="Show the digests of manifests.")
@click.option("--no-trunc", is_flag=True, help="Show whole IDs.")
@click.option("--format", "form", type=_FORMAT, default="table", show_default=True)
@refused_options("--filter")
@click.pass_context
def images(ctx: click.Context, everything: bool, quiet: bool, digests: bool, no_trunc: bool, form: str) -> None:  # noqa: FBT001
    """List the images of the store, newest first."""
    with session(ctx) as current:
        rows = [_image_row(listed, whole_id=no_trunc) for listed in current.images() if everything or listed.reference]
    if quiet:
        click.echo("\n".join(dict.fromkeys(row["ID"] for row in rows)), nl=bool(rows))
    elif form == "json":
        for row in rows:
            click.echo(json.dumps(row))
    else:
        columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
        headings = {"ID": "IMAGE ID", "CreatedSince": "CREATED"}
        click.echo(table(rows, columns, headings))


def _image_row(listed: ListedImage, *, whole_id: bool) -> dict[str, Any]:
    from ocibuild.output import size_of

    reference = listed.reference
    image_id = listed.image.manifest.config.digest
    familiar = reference.familiar() if reference else ""
    tag = reference.tag if reference and reference.tag else "<none>"
    return {
        "Repository": familiar.removesuffix(f":{tag}") or "<none>",
        "Tag": tag,
        "Digest": listed.image.descriptor.digest,
        "ID": image_id if whole_id else image_id.short,
        "CreatedAt": listed.image.config.created or "",
        "CreatedSince": age(listed.image.config.created, time.time()),
        "Size": size(size_of(listed.image)),
    }


@click.command()
@click.argument("source")
@click.argument("destination")
@click.pass_context
def tag(ctx: click.Context, source: str, destination: str) -> None:
    """Give the image SOURCE the name DESTINATION too."""
    from ocibuild.oci import Reference

    with session(ctx) as current:
        current.tag(source, Reference.parse(destination))


@click.command()
@click.argument("references", metavar="REFERENCE...", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["json"]), default="json", show_default=True)
@click.pass_context
def inspect(ctx: click.Context, references: tuple[str, ...], form: str) -> None:  # noqa: ARG001
    """Show all of an image, with docker's names of its members."""
    with session(ctx) as current:
        click.echo(json.dumps([current.inspect(reference) for reference in references], indent=4))


@click.command()
@click.argument("reference")
@click.option("--no-trunc", is_flag=True, help="Show whole instructions.")
@click.option("-q", "--quiet", is_flag=True, help="Print image IDs alone.")
@click.option("--format", "form", type=_FORMAT, default="table", show_default=True)
@click.pass_context
def history(ctx: click.Context, reference: str, no_trunc: bool, quiet: bool, form: str) -> None:  # noqa: FBT001
    """Show the instructions that made an image, newest first."""
    with session(ctx) as current:
        rows = current.history(reference)
    if quiet:
        click.echo("\n".join(row["Id"] for row in rows))
    elif form == "json":
        for row in rows:
            click.echo(json.dumps(row))
    else:
        click.echo(
            table(
                [_history_row(row, whole=no_trunc) for row in rows],
                ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"],
                {},
            )
        )


def _history_row(row: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    image_id, command = row["Id"], row["CreatedBy"]
    return {
        "IMAGE": image_id if whole else image_id.removeprefix("sha256:")[:12],
        "CREATED": age(row["Created"], time.time()),
        "CREATED BY": command if whole or len(command) <= 45 else f"{command[:44]}…",
        "SIZE": size(row["Size"]),
        "COMMENT": row["Comment"],
    }
