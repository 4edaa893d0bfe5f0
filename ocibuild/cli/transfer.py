"""``ocibuild pull``, ``push`` and ``copy``."""

from __future__ import annotations

import click

from ocibuild.cli.common import progress_option, refused_options, session


@click.command()
@click.argument("reference")
@click.option("--platform", metavar="P", help="The platform of the image.  [default: this machine's]")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@click.pass_context
def pull(ctx: click.Context, reference: str, platform: str | None, quiet: bool, progress: str) -> None:  # noqa: FBT001
    """Pull REFERENCE into the store, and print its name with the digest of its manifest."""
    from ocibuild.oci import Platform, Reference

    parsed = Reference.parse(reference)
    with session(ctx, progress="quiet" if quiet else progress) as current:
        descriptor = current.pull(parsed, Platform.parse(platform) if platform else Platform.host())
    click.echo(f"{parsed.repository}@{descriptor.digest}")


@click.command()
@click.argument("source")
@click.argument("destination", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@click.pass_context
def push(ctx: click.Context, source: str, destination: str | None, quiet: bool, progress: str) -> None:  # noqa: FBT001
    """Push the image SOURCE of the store to DESTINATION, its own name where none is given."""
    from ocibuild.oci import Reference

    target = Reference.parse(destination or source)
    with session(ctx, progress="quiet" if quiet else progress) as current:
        digest = current.push(source, target)
    click.echo(f"{target.repository}@{digest}")


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option("-a", "--all", "everything", is_flag=True, help="Copy every image of an index, and the index itself.")
@click.option(
    "--platform", "platforms", metavar="P[,P...]", multiple=True,
    help="The platforms of the images; several give a new index.  [default: this machine's]",
)  # fmt: skip
@click.option("--digestfile", metavar="FILE", help="Write the digest to a file, too.")
@click.option("--preserve-digests", is_flag=True, expose_value=False, help="Keep digests, which is always so.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@refused_options(
    "--src-tls-verify", "--dest-tls-verify", "--src-creds", "--dest-creds", "--authfile", "--src-authfile",
    "--dest-authfile", "--format", "--dest-compress-format", "--sign-by", "--multi-arch", "--additional-tag",
)  # fmt: skip
@click.pass_context
def copy(
    ctx: click.Context,
    source: str,
    destination: str,
    everything: bool,  # noqa: FBT001
    platforms: tuple[str, ...],
    digestfile: str | None,
    quiet: bool,  # noqa: FBT001
    progress: str,
) -> None:
    """Copy an image from SOURCE to DESTINATION as it is, and print its digest.

    Both are docker://REF, oci:DIR[:TAG or @DIGEST], oci-archive:FILE[:TAG or @DIGEST], docker-archive:FILE[:REF],
    dir:DIR or store:REF. Of an index, the image for this machine is copied unless --all or --platform says otherwise.
    """
    from ocibuild.oci import Platform

    wanted = tuple(Platform.parse(word.strip()) for value in platforms for word in value.split(","))
    with session(ctx, progress="quiet" if quiet else progress) as current:
        digest = current.copy(source, destination, platforms=wanted, everything=everything)
    if digestfile:
        with open(digestfile, "w", encoding="utf-8") as file:
            file.write(digest)
    click.echo(digest)
