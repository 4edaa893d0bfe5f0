"""The linter of one build: with the settings and the .dockerignore that it has."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ocibuild.dockerfile import parse
from ocibuild.dockerfile.lint import CheckSettings, Linter, Surroundings
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.build.maincontext import MainContext
    from ocibuild.build.request import BuildRequest
    from ocibuild.dockerfile import Dockerfile
    from ocibuild.dockerfile.lint import Finding
    from ocibuild.source import Ignore


def new_linter(dockerfile: Dockerfile, request: BuildRequest, main: MainContext) -> Linter:
    """Return a linter that has seen nothing yet; raises DockerfileError for settings that are wrong."""
    directives = dockerfile.directives
    settings = CheckSettings.of(directives.check, request.build_args, directives.check_location)
    excluded = main.context.excluded
    around = Surroundings(request.build_args, lambda source: _is_ignored(source, excluded), directives.escape)
    return Linter(settings, around)


def part_findings(error: DockerfileError, request: BuildRequest, main: MainContext) -> Sequence[Finding]:
    """Return what is found before the place of ``error``, beyond which the Dockerfile cannot be read."""
    if error.location is None:
        return ()
    lines = main.dockerfile.split(b"\n")[: error.location.first - 1]
    try:
        dockerfile = parse(b"\n".join(lines), file=main.file)
        linter = new_linter(dockerfile, request, main)
    except DockerfileError:
        return ()
    linter.read_part(dockerfile)
    return linter.findings


def _is_ignored(source: str, excluded: Ignore | None) -> bool:
    """Whether the context lacks ``source``; for one that is not a clean path, BuildKit looks at its folder alone."""
    if excluded is None:
        return False
    if source.rstrip("/") == posixpath.normpath(source):
        return excluded.excludes(source)
    folder = posixpath.normpath(posixpath.dirname(source))
    return folder != "." and excluded.excludes(folder)
