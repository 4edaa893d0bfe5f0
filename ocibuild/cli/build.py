"""``ocibuild build``."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.check import answer, parse_call
from ocibuild.cli.common import (
    forced_options,
    pairs,
    progress_option,
    refused_options,
    resource_options,
    resources,
    session,
)
from ocibuild.output import check_destination

if TYPE_CHECKING:
    from ocibuild.build import BuildRequest, BuildResult


@click.command()
@click.argument("context")
@click.option("-f", "--file", "dockerfile", metavar="FILE", help="The Dockerfile; - reads standard input.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="A name for the image.")
@click.option("--target", metavar="STAGE", help="Stop at this stage.")
@click.option("--build-arg", "build_args", multiple=True, metavar="K[=V]", help="Set a build argument.")
@click.option("--build-context", "contexts", multiple=True, metavar="NAME=VALUE", help="Add a named context.")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="P[,P]",
    help="The platform of the image; several give an index of images.  [default: this machine's]",
)
@click.option("-o", "--output", "outputs", multiple=True, metavar="SPEC", help="Where the image goes.")
@click.option("--push", is_flag=True, help="Short for --output type=registry.")
@click.option("--load", is_flag=True, help="Short for --output type=image, which is the default.")
@click.option("--no-cache", is_flag=True, help="Run every step.")
@click.option("--no-cache-filter", "anew", multiple=True, metavar="STAGE", help="Run every step of this stage.")
@click.option("--cache-from", "cache_from", multiple=True, metavar="SPEC", help="A cache to look into.")
@click.option("--cache-to", "cache_to", multiple=True, metavar="SPEC", help="A cache to write to.")
@click.option("--pull", is_flag=True, help="Resolve base images anew.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Set a label.")
@click.option(
    "--annotation", "annotations", multiple=True, metavar="[index:]K=V", help="Annotate the manifest, or the index."
)
@click.option(
    "--network", type=click.Choice(["default", "none", "host", "pasta"]), default="default", show_default=True
)
@resource_options
@click.option("--secret", "secrets", multiple=True, metavar="SPEC", help="A secret: id=ID[,src=FILE or env=VAR].")
@click.option("--ssh", "agents", multiple=True, metavar="SPEC", help="An agent: default or ID[=SOCKET or KEY].")
@click.option("--allow", "allowed", multiple=True, metavar="NAME", help="Allow network.host or security.insecure.")
@click.option("--iidfile", metavar="FILE", help="Write the image ID to a file.")
@click.option("--metadata-file", metavar="FILE", help="Write the digests of the result to a file, as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image ID alone.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and why, and do nothing.")
@click.option("--check", is_flag=True, help="Build nothing; check the Dockerfile. Short for --call=check.")
@click.option("--call", metavar="METHOD", default="build", help="build, or tell: check, outline, targets.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), help="How --check, --call and --dry-run print.")
@progress_option
@forced_options
@click.option("--verify-reproducible", "verifies", is_flag=True, help="Build a second time, and fail where it differs.")
@click.option("--debug-on-failure", is_flag=True, help="Open a shell in what a RUN that fails has left.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many steps at once.  [default: the processors]")
@refused_options("--sbom", "--provenance", "--attest")
@click.pass_context
def build(ctx: click.Context, /, **options: Any) -> None:
    """Build an image from the Dockerfile in CONTEXT: a folder, - (a tar or a Dockerfile), a Git repository or a URL."""
    _refuse(options)
    if options["dry_run"]:
        _dry_run(ctx, options)
        return
    call = parse_call(options["call"], check=options["check"], form=options["form"])
    request = _request(options)
    if call.method != "build":
        if request.is_index:
            raise click.UsageError("a Dockerfile is looked at for one platform (give one --platform)")
        with session(ctx, progress="quiet" if options["quiet"] else options["progress"]) as current:
            ctx.exit(answer(call, request, current))
    for path in filter(None, (options["iidfile"], options["metadata_file"])):
        check_destination(path)
    if options["iidfile"] and os.path.isfile(options["iidfile"]):
        os.unlink(options["iidfile"])  # should the build fail, nobody takes the ID of an earlier one for its own
    quiet = options["quiet"]
    with session(ctx, progress="quiet" if quiet else options["progress"]) as current:
        result = current.build(request)
    _write_files(options, result)
    # an archive on stdout must be alone there
    if not any(output.dest == "-" for output in request.outputs):
        click.echo(result.image_id)


def _dry_run(ctx: click.Context, options: dict[str, Any]) -> None:
    from ocibuild.cli.dryrun import plan_json, plan_text, refuse_contradictions

    refuse_contradictions(options)
    request = _request(options)
    if request.is_index:
        raise click.UsageError("--dry-run is of one platform (give one --platform)")
    with session(ctx, progress=options["progress"]) as current:
        steps = current.preview(request)
    click.echo(plan_json(steps) if options["form"] == "json" else plan_text(steps), nl=False)


def _refuse(options: dict[str, Any]) -> None:
    if options["no_cache"] and options["anew"]:
        raise click.UsageError("--no-cache runs the steps of every stage (leave out --no-cache-filter, or --no-cache)")


def _request(options: dict[str, Any]) -> BuildRequest:
    from ocibuild.build import BuildRequest, entitlements, parse_secret, parse_ssh
    from ocibuild.executor import Forced
    from ocibuild.graph import Network
    from ocibuild.oci import Platform, Reference
    from ocibuild.output import parse_output

    short = {"load": "type=image", "push": "type=registry"}
    outputs = [*options["outputs"], *(output for flag, output in short.items() if options[flag])]
    named = [Platform.parse(name.strip()) for value in options["platforms"] if value for name in value.split(",")]
    platforms = tuple(dict.fromkeys(named)) or (Platform.host(),)
    of_manifest, of_index = _annotations(options["annotations"], is_index=len(platforms) > 1)
    return BuildRequest(
        context=options["context"],
        platform=platforms[0],
        platforms=platforms,
        dockerfile=options["dockerfile"],
        tags=tuple(Reference.parse(tag) for tag in options["tags"]),
        target=options["target"],
        build_args=_build_args(options["build_args"]),
        contexts=pairs(options["contexts"], "--build-context"),
        labels=pairs(options["labels"], "--label"),
        annotations=of_manifest,
        index_annotations=of_index,
        network=Network.DEFAULT if options["network"] == "pasta" else Network(options["network"]),
        pasta=options["network"] == "pasta",
        **resources(options),
        secrets=tuple(map(parse_secret, options["secrets"])),
        agents=tuple(map(parse_ssh, options["agents"])),
        allowed=entitlements(options["allowed"]),
        outputs=tuple(map(parse_output, outputs)),
        use_cache=not options["no_cache"],
        anew=_stages(options["anew"]),
        **_caches(options),
        pull=options["pull"],
        jobs=options["jobs"] or len(os.sched_getaffinity(0)),
        forced=Forced(options["executor"], options["snapshotter"]),
        debug_on_failure=options["debug_on_failure"],
        verifies=options["verifies"],
    )


def _annotations(values: tuple[str, ...], *, is_index: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the annotations of manifests and those of the index."""
    manifest: dict[str, str] = {}
    index: dict[str, str] = {}
    for key, value in pairs(values, "--annotation").items():
        level, colon, name = key.partition(":")
        if not colon or level not in ("manifest", "index"):
            if level in ("manifest-descriptor", "index-descriptor") or "," in level or "[" in level:
                raise click.UsageError(f"--annotation {key}: only manifests and indexes are annotated")
            level, name = "manifest", key
        if not name:
            raise click.UsageError(f"--annotation {key}: an annotation without a name")
        (index if level == "index" else manifest)[name] = value
    if index and not is_index:
        raise click.UsageError("--annotation index:: one platform has no index (annotate the manifest)")
    return manifest, index


def _stages(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the stages of ``--no-cache-filter``: each of its values may name several."""
    names = tuple(name.strip() for value in values for name in value.split(","))
    if "" in names:
        raise click.UsageError("--no-cache-filter: a stage without a name (it has a number, from 0)")
    return names


def _caches(options: dict[str, Any]) -> dict[str, Any]:
    if not (options["cache_from"] or options["cache_to"]):
        return {}
    from ocibuild.cache import parse_cache_from, parse_cache_to

    return {
        "cache_from": tuple(map(parse_cache_from, options["cache_from"])),
        "cache_to": tuple(map(parse_cache_to, options["cache_to"])),
    }


def _build_args(values: tuple[str, ...]) -> dict[str, str]:
    """Return build arguments; one without a value takes it from the environment, if that has one.

    SOURCE_DATE_EPOCH is taken from there unasked, as docker does.
    """
    found = {"SOURCE_DATE_EPOCH": os.environ["SOURCE_DATE_EPOCH"]} if os.environ.get("SOURCE_DATE_EPOCH") else {}
    for value in values:
        name, separator, text = value.partition("=")
        if not name:
            raise click.UsageError(f"--build-arg {value}: not NAME=VALUE")
        if separator:
            found[name] = text
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _write_files(options: dict[str, Any], result: BuildResult) -> None:
    if options["iidfile"]:
        _write(options["iidfile"], result.image_id)
    if options["metadata_file"]:
        is_index = result.image_id == result.descriptor.digest
        metadata = {
            **({} if is_index else {"containerimage.config.digest": result.image_id}),
            "containerimage.descriptor": result.descriptor.to_json(),
            "containerimage.digest": result.descriptor.digest,
            "image.name": ",".join(str(tag) for tag in result.tags),
        }
        _write(options["metadata_file"], json.dumps(metadata, indent=2) + "\n")


def _write(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
