"""``ocibuild images``, ``tag``, ``rmi``, ``inspect`` and ``history``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.common import each, filter_option, format_option, refused_options, session
from ocibuild.cli.listing import Columns, listed
from ocibuild.cli.text import age, printable, size, utc
from ocibuild.errors import NotInStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.api import Session
    from ocibuild.store import ListedImage

_NONE = "<none>"
_LONGEST_COMMAND = 45  # of history's table
_IMAGES = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
_HISTORY = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


@click.command()
@click.argument("pattern", metavar="[REPOSITORY[:TAG]]", required=False)
@click.option("-a", "--all", is_flag=True, expose_value=False, help="Accepted: there are no intermediate images.")
@click.option("-q", "--quiet", is_flag=True, help="Print image IDs alone.")
@click.option("--digests", is_flag=True, help="Show the digests of manifests.")
@click.option("--no-trunc", is_flag=True, help="Show whole IDs.")
@filter_option
@format_option
@refused_options("--tree")
@click.pass_context
def images(
    ctx: click.Context,
    pattern: str | None,
    quiet: bool,  # noqa: FBT001
    digests: bool,  # noqa: FBT001
    no_trunc: bool,  # noqa: FBT001
    filters: tuple[str, ...],
    form: str,
) -> None:
    """List the images of the store, the newest first."""
    from ocibuild.store import ImageFilter

    chosen = ImageFilter.parse([*filters, *([f"reference={pattern}"] if pattern else [])])
    with session(ctx) as current:
        rows = [_image_row(one, whole_id=no_trunc) for one in current.images(chosen)]
    if quiet:
        click.echo("".join(f"{row['ID']}\n" for row in rows), nl=False)
        return
    columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    click.echo(listed(rows, form, Columns(columns, _IMAGES)), nl=False)


def _image_row(image: ListedImage, *, whole_id: bool) -> dict[str, Any]:
    reference, summary = image.reference, image.summary
    shown = size(summary.size)
    return {
        "Containers": "N/A",
        "CreatedAt": utc(summary.created),
        "CreatedSince": age(summary.created, time.time()),
        "Digest": summary.manifest,
        "ID": summary.image_id if whole_id else summary.image_id.short,
        "Repository": reference.familiar_name() if reference else _NONE,
        "SharedSize": "N/A",
        "Size": shown,
        "Tag": (reference and reference.tag) or _NONE,
        "UniqueSize": "N/A",
        "VirtualSize": shown,
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
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Also an image with several names, by its ID.")
@click.option("--no-prune", is_flag=True, help="Remove names alone, and leave what they name to prune.")
@refused_options("--platform")
@click.pass_context
def rmi(ctx: click.Context, names: tuple[str, ...], force: bool, no_prune: bool) -> None:  # noqa: FBT001
    """Remove names of images, and each image with its last name."""
    with session(ctx) as current:

        def remove(name: str) -> None:
            removed = current.remove_image(name, force=force, keep=no_prune)
            for one in removed.names:
                click.echo(f"Untagged: {printable(one)}")
            for image_id in removed.ids:
                click.echo(f"Deleted: {image_id}")

        each(remove, names, missing_is_fine=force)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-f", "--format", "form", metavar="FORMAT", default="", help="json, or a Go template.")
@click.option("--type", "kind", type=click.Choice(["image", "container"]), help="What the names are of.")
@refused_options("-s", "--size", "--platform")
@click.pass_context
def inspect(ctx: click.Context, names: tuple[str, ...], form: str, kind: str | None) -> None:
    """Show all of a container or an image, with docker's names of its members."""
    show = _shown(form)
    found: list[dict[str, Any]] = []
    with session(ctx) as current:
        try:
            each(lambda name: found.append(_inspected(current, name, kind)), names)
        finally:
            if found:
                click.echo(show(found), nl=False)


def _inspected(current: Session, name: str, kind: str | None) -> dict[str, Any]:
    """Return what a container is, or else an image, as in docker."""
    if kind != "image":
        try:
            return current.inspect_container(name)
        except NotInStore:
            if kind == "container":
                raise
    return current.inspect(name)


def _shown(form: str) -> Callable[[Sequence[dict[str, Any]]], str]:
    """Return how documents are shown: as one list, or what a template gives for each."""
    if form in ("", "json"):
        return lambda found: json.dumps(found, ensure_ascii=False, indent=None if form else 4) + "\n"
    from ocibuild.cli.gotemplate import Template

    template = Template(form)
    return lambda found: "".join(f"{template.render(one)}\n" for one in found)


@click.command()
@click.argument("reference", metavar="IMAGE")
@click.option("-H", "--human/--no-human", "human", default=True, help="Sizes and times for people.  [default: human]")
@click.option("--no-trunc", is_flag=True, help="Show whole instructions.")
@click.option("-q", "--quiet", is_flag=True, help="Print image IDs alone.")
@format_option
@refused_options("--platform")
@click.pass_context
def history(ctx: click.Context, reference: str, human: bool, no_trunc: bool, quiet: bool, form: str) -> None:  # noqa: FBT001
    """Show the instructions that made an image, the newest first."""
    with session(ctx) as current:
        rows = [_history_row(row, human=human, whole=no_trunc) for row in current.history(reference)]
    if quiet:
        click.echo("".join(f"{row['ID']}\n" for row in rows), nl=False)
        return
    columns = ["ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment"]
    click.echo(listed(rows, form, Columns(columns, _HISTORY)), nl=False)


def _history_row(row: dict[str, Any], *, human: bool, whole: bool) -> dict[str, Any]:
    image_id, command = row["Id"], printable(row["CreatedBy"])
    cut = not whole and len(command) > _LONGEST_COMMAND
    return {
        "Comment": row["Comment"],
        "CreatedAt": row["Created"] or "",
        "CreatedBy": f"{command[: _LONGEST_COMMAND - 1]}…" if cut else command,
        "CreatedSince": age(row["Created"], time.time()),
        "ID": image_id if whole else image_id.removeprefix("sha256:")[:12],
        "Size": size(row["Size"]) if human else str(row["Size"]),
    }
