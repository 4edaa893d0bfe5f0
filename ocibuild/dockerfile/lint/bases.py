"""Rules about FROM: what its image and its platform are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.environment import global_arguments
from ocibuild.dockerfile.conversion.goformat import quote
from ocibuild.dockerfile.lint import rules
from ocibuild.dockerfile.lint.watching import Speller, Watched, expand_watched
from ocibuild.errors import DockerfileError, InvalidPlatform, InvalidReference
from ocibuild.oci import Platform, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ocibuild.dockerfile.conversion.options import Options
    from ocibuild.dockerfile.lint.rules import Finding
    from ocibuild.dockerfile.parser.instructions import From
    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.errors import SourceRange

_TARGET_PLATFORM = "TARGETPLATFORM"


def base_findings(dockerfile: Dockerfile, options: Options) -> Iterator[Finding]:
    """Yield what is found in the FROM instructions, up to one that cannot be expanded."""
    try:
        yield from default_bases(dockerfile, options)
        variables = global_arguments(dockerfile, options)
    except DockerfileError:
        return
    declared = [name for instruction in dockerfile.global_args for name, _ in instruction.pairs]
    known = dict.fromkeys((*declared, *variables))
    escape, speller = dockerfile.directives.escape, Speller()
    for start in (stage.start for stage in dockerfile.stages):
        name, watched = expand_watched(start.base, variables, escape=escape)
        yield from undefined_arguments(watched.missed, known, start.location, speller)
        if not name:
            return
        if start.platform:
            platform, watched = expand_watched(start.platform, variables, escape=escape)
            yield from platform_findings(start, platform, watched, known, speller)
            if not platform or _parsed(platform) is None:
                return


def platform_findings(
    start: From, platform: str | None, watched: Watched, known: Mapping[str, None], speller: Speller
) -> Iterator[Finding]:
    """Yield what is found in a ``--platform`` that expands to ``platform``."""
    yield from undefined_arguments(watched.missed, known, start.location, speller)
    yield from redundant_platform(start, platform, watched)
    yield from constant_platform(start, platform, watched)


def default_bases(dockerfile: Dockerfile, options: Options) -> Iterator[Finding]:
    """InvalidDefaultArgInFrom: each FROM names an image also where no build argument is given."""
    predefined = global_arguments(replace(dockerfile, global_args=()), options)
    given = {name: value for name, value in options.build_args.items() if name in predefined}
    variables = global_arguments(dockerfile, replace(options, build_args=given))
    for start in (stage.start for stage in dockerfile.stages):
        name, _ = expand_watched(start.base, variables, escape=dockerfile.directives.escape)
        if name is None:
            return
        if not _names_an_image(name):
            message = f"Default value for ARG {start.base} results in empty or invalid base image name"
            yield rules.INVALID_DEFAULT_ARG_IN_FROM.at(start.location, message)


def _names_an_image(name: str) -> bool:
    try:
        Reference.parse(name)
    except InvalidReference:
        return False
    return True


def undefined_arguments(
    missed: Iterable[str], known: Mapping[str, None], location: SourceRange, speller: Speller
) -> Iterator[Finding]:
    """UndefinedArgInFrom: an ARG before the first FROM declares what a FROM uses."""
    for name in missed:
        if name not in known:
            near = speller.similar(name, known)
            message = f"FROM argument '{name}' is not declared" + (f" (did you mean {near}?)" if near else "")
            yield rules.UNDEFINED_ARG_IN_FROM.at(location, message)


def redundant_platform(start: From, platform: str | None, watched: Watched) -> Iterator[Finding]:
    """RedundantTargetPlatform: no ``--platform=$TARGETPLATFORM``, which is what holds without it."""
    if watched.missed or list(watched.found) != [_TARGET_PLATFORM] or platform != watched[_TARGET_PLATFORM]:
        return
    message = f"Setting platform to predefined {start.platform} in FROM is redundant as this is the default behavior"
    yield rules.REDUNDANT_TARGET_PLATFORM.at(start.location, message)


def constant_platform(start: From, platform: str | None, watched: Watched) -> Iterator[Finding]:
    """FromPlatformFlagConstDisallowed: ``--platform`` has a variable in it, or the stage's name says which it is."""
    parsed = _parsed(platform) if platform and not watched.found and not watched.missed else None
    if parsed is None or parsed.os in start.name or parsed.architecture in start.name:
        return
    message = f"FROM --platform flag should not use constant value {quote(platform or '')}"
    yield rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED.at(start.location, message)


def _parsed(platform: str) -> Platform | None:
    try:
        return Platform.parse(platform)
    except InvalidPlatform:
        return None


def base_image_platform(name: str, location: SourceRange, wanted: Platform, found: Platform) -> Iterator[Finding]:
    """InvalidBaseImagePlatform: an image is for the platform that it is used for; its variant may differ."""
    if (wanted.os, wanted.architecture) == (found.os, found.architecture):
        return
    expected, actual = (quote(str(platform.normalized())) for platform in (wanted, found))
    message = f"Base image {name} was pulled with platform {actual}, expected {expected} for current build"
    yield rules.INVALID_BASE_IMAGE_PLATFORM.at(location, message)
