"""Instructions that change an image's config without a build: those of ``--change``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.convert import convert
from ocibuild.dockerfile.conversion.options import Options, ResolvedBase
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.parser.parse import parse
from ocibuild.errors import DockerfileError, UsageError
from ocibuild.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.oci import ImageConfig, RunConfig

_ALLOWED = {
    "CMD": ins.Cmd,
    "ENTRYPOINT": ins.Entrypoint,
    "ENV": ins.Env,
    "EXPOSE": ins.Expose,
    "HEALTHCHECK": ins.HealthCheck,
    "LABEL": ins.Label,
    "ONBUILD": ins.OnBuild,
    "STOPSIGNAL": ins.StopSignal,
    "USER": ins.User,
    "VOLUME": ins.Volume,
    "WORKDIR": ins.Workdir,
}


def changed_config(image: ImageConfig, changes: Sequence[str]) -> RunConfig:
    """Return the run settings of an image as these instructions change them, in order, one in each text.

    Nothing else changes: a build would run the image's ONBUILD triggers and give it a PATH. Raises UsageError for what
    is no such instruction.
    """
    for change in changes:
        _check(change)
    before = image.config
    bare = replace(image, config=replace(before, on_build=()))
    untouched, changed = _converted(bare, ()), _converted(bare, changes)
    given = set(untouched.env) - set(before.env)
    return replace(
        changed,
        env=tuple(setting for setting in changed.env if setting not in given),
        on_build=(*before.on_build, *changed.on_build),
    )


def _converted(image: ImageConfig, changes: Sequence[str]) -> RunConfig:
    base = ResolvedBase(Digest.of(b""), image)
    try:
        dockerfile = parse("\n".join(["FROM image", *changes]).encode(), file="--change")
        options = Options(platform=image.platform, build_platform=image.platform)
        return convert(dockerfile, options, lambda _reference, _platform: base).config.config
    except DockerfileError as error:
        raise UsageError(f"--change: {error.message}", remedy=error.remedy) from error


def _check(change: str) -> None:
    try:
        (stage,) = parse(f"FROM image\n{change}".encode(), file="--change").stages
    except (DockerfileError, ValueError) as error:
        problem = error.message if isinstance(error, DockerfileError) else "FROM is not allowed"
        raise UsageError(f"--change {change!r}: {problem}", remedy=_offer()) from error
    if len(stage.instructions) != 1 or not isinstance(stage.instructions[0], tuple(_ALLOWED.values())):
        raise UsageError(f"--change {change!r}: not one instruction that changes settings", remedy=_offer())


def _offer() -> str:
    return f"there are {', '.join(_ALLOWED)}"
