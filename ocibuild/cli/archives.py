"""``ocibuild save``, ``load`` and ``import``."""

from __future__ import annotations

import click

from ocibuild.cli.common import progress_option, refused_options, session

_FORMS = click.Choice(["docker-archive", "oci-archive", "oci-dir"])


@click.command()
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.option("-o", "--output", default="-", metavar="FILE", help="The archive, or a folder.  [default: stdout]")
@click.option("--format", "form", type=_FORMS, default="docker-archive", show_default=True, help="What is written.")
@click.option("--platform", metavar="P", help="Of an index, the image for this platform alone.")
@click.option("-q", "--quiet", is_flag=True, expose_value=False, help="Accepted: nothing is shown anyway.")
@click.option("-m", "--multi-image-archive", is_flag=True, expose_value=False, help="Accepted: it is always possible.")
@refused_options("--compress", "--uncompressed", "--signature-policy")
@click.pass_context
def save(ctx: click.Context, names: tuple[str, ...], output: str, form: str, platform: str | None) -> None:
    """Write images with their names into one archive.

    A docker-archive is a layout, too: docker, podman, skopeo, crane and containerd read it.
    """
    from ocibuild.archive import ArchiveForm
    from ocibuild.errors import UsageError
    from ocibuild.oci import Platform

    if form == "oci-dir" and output == "-":
        raise UsageError("oci-dir is a folder", remedy="name it with --output")
    with session(ctx) as current:
        current.save(names, output, form=ArchiveForm(form), platform=Platform.parse(platform) if platform else None)


@click.command()
@click.option("-i", "--input", "path", default="-", metavar="FILE", help="The archive, or a folder.  [default: stdin]")
@click.option("--platform", metavar="P", help="Of an index, the image for this platform alone.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@refused_options("--signature-policy")
@click.pass_context
def load(ctx: click.Context, path: str, platform: str | None, quiet: bool, progress: str) -> None:  # noqa: FBT001
    """Put all images of an archive into the store, under the names that they have there.

    The archive is one of docker, podman, skopeo or ocibuild, or of an OCI layout; it may be compressed.
    """
    from ocibuild.oci import Platform

    wanted = Platform.parse(platform) if platform else None
    with session(ctx, progress="quiet" if quiet else progress) as current:
        for descriptor, names in current.load(path, platform=wanted):
            for name in names:
                click.echo(f"Loaded image: {name.familiar()}")
            if not names:
                click.echo(f"Loaded image ID: {current.image_id(descriptor)}")


@click.command("import")
@click.argument("path", metavar="FILE")
@click.argument("reference", required=False)
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Change the config, as CMD, ENV.")
@click.option("-m", "--message", default="", help="The comment in the history.")
@click.option("--platform", metavar="P", help="What the files are for.  [default: this machine's]")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@progress_option
@click.pass_context
def import_(
    ctx: click.Context,
    path: str,
    reference: str | None,
    changes: tuple[str, ...],
    message: str,
    platform: str | None,
    quiet: bool,  # noqa: FBT001
    progress: str,
) -> None:
    """Make an image of the tar FILE, - for stdin, under the name REFERENCE or none; print its ID.

    The tar holds a root file system; it may be compressed.
    """
    from ocibuild.containers.importing import ImportRequest
    from ocibuild.errors import UsageError
    from ocibuild.oci import Platform, Reference

    if path.startswith(("http://", "https://")):
        raise UsageError(f"{path}: an address is not supported", remedy="fetch it, and pipe it to `ocibuild import -`")
    name = Reference.parse(reference) if reference else None
    if name is not None and name.tag is None:
        raise UsageError(f"{reference}: a tag cannot be a digest", remedy="give NAME:TAG")
    request = ImportRequest(path, Platform.parse(platform) if platform else Platform.host(), changes, message)
    with session(ctx, progress="quiet" if quiet else progress) as current:
        click.echo(current.import_image(request, name))
