"""Build arguments that mean something by themselves, and those that mean nothing to a Dockerfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.environment import PLATFORM_ARGUMENTS
from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.dockerfile.parser.parse import Dockerfile

EPOCH = "SOURCE_DATE_EPOCH"
CACHE_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that an ARG declares without their becoming variables."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_HEARD_ELSEWHERE = frozenset({"BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_DOCKERFILE_CHECK"})
_FALSE = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})
_WITHOUT_EFFECT = {
    "BUILDKIT_BUILD_NAME": "no record of builds is kept",
    "BUILDKIT_INLINE_CACHE": "no cache is written into the image",
    "BUILDKIT_MULTI_PLATFORM": "the result is one image, without an index",
    "BUILDKIT_SBOM_SCAN_CONTEXT": "no bill of materials is made",
    "BUILDKIT_SBOM_SCAN_STAGE": "no bill of materials is made",
    "BUILDKIT_SYNTAX": "the Dockerfile language is built in",
}
_LATEST = 253_402_300_799  # the last second of the year 9999


def proxy_settings(build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Return the predefined proxy arguments among ``build_args`` as a RUN sees them: in upper and in lower case."""
    given = {name.lower(): value for name, value in sorted(build_args.items())}
    return tuple(
        f"{spelling}={given[name]}" for name in _PROXIES if given.get(name) for spelling in (name.upper(), name)
    )


def source_date(build_args: Mapping[str, str]) -> int | None:
    """Return SOURCE_DATE_EPOCH in seconds since 1970, None where it is not given; raises UsageError for no number."""
    value = build_args.get(EPOCH)
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()) or int(value[:20]) > _LATEST:
        raise UsageError(f"invalid {EPOCH}: {value!r}", remedy="it is a number of seconds since 1970")
    return int(value)


def created_text(build_args: Mapping[str, str]) -> str | None:
    """Return SOURCE_DATE_EPOCH as RFC 3339 text, None where it is not given; raises UsageError for no number."""
    seconds = source_date(build_args)
    if seconds is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def argument_warnings(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is to be said of ``build_args``: which of them no ARG names, and which have no effect here."""
    unused = _unused(dockerfile, build_args)
    said = [f"One or more build-args [{' '.join(unused)}] were not consumed"] if unused else []
    without = sorted(name for name in build_args if name in _WITHOUT_EFFECT and build_args[name] not in _FALSE)
    said += [f"the build argument {name} has no effect: {_WITHOUT_EFFECT[name]}" for name in without]
    return tuple(said)


def _unused(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> list[str]:
    from ocibuild.dockerfile.parser.instructions import Arg

    declared = {name for instruction in dockerfile.global_args for name, _ in instruction.pairs}
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                declared.update(name for name, _ in instruction.pairs)
    return sorted(name for name in build_args if name not in declared and not _has_meaning(name))


def _has_meaning(name: str) -> bool:
    return (
        name.lower() in _PROXIES
        or name in PLATFORM_ARGUMENTS | _HEARD_ELSEWHERE | {EPOCH, CACHE_NAMESPACE, HOSTNAME}
        or name in _WITHOUT_EFFECT
    )
