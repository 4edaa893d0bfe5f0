"""Variables: where they come from, and which are seen where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.located import located
from ocibuild.dockerfile.shell.words import expand_word
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ocibuild.dockerfile.conversion.options import Options
    from ocibuild.dockerfile.parser.parse import Dockerfile

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where an image sets none."""
MAX_SIZE = 4 << 20
"""Most characters that the variables of one stage may have together."""

_PLATFORM_PARTS = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
PLATFORM_ARGUMENTS = frozenset(f"{side}{part}" for side in ("BUILD", "TARGET") for part in (*_PLATFORM_PARTS, "STAGE"))
"""What every build knows of its platforms and its target, in FROM and where an ARG asks for it."""


class Variables(dict[str, str]):
    """Names and values in the order of their first assignment, limited in size."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        super().__init__(values or {})
        self._settings = {name: f"{name}={value}" for name, value in self.items()}
        self._size = sum(map(len, self._settings.values()))

    def assign(self, name: str, value: str) -> None:
        """Set one variable; raises DockerfileError where all of them together grow too large."""
        setting = f"{name}={value}"
        self._size += len(setting) - len(self._settings.get(name, ""))
        if self._size > MAX_SIZE:
            raise DockerfileError(f"the variables of this stage hold more than {MAX_SIZE} characters")
        self[name] = value
        self._settings[name] = setting

    def settings(self) -> tuple[str, ...]:
        """Return the variables as ``NAME=value``."""
        return tuple(self._settings.values())


def image_environment(settings: Iterable[str]) -> Variables:
    """Return the variables of an image's config, with PATH added where it sets none."""
    variables = Variables()
    for setting in settings:
        name, _, value = setting.partition("=")
        variables.assign(name, value)
    if "PATH" not in variables:
        variables.assign("PATH", DEFAULT_PATH)
    return variables


def global_arguments(dockerfile: Dockerfile, options: Options) -> Variables:
    """Return what FROM instructions see: the platform arguments, and the ARGs before the first FROM.

    A value from the command line wins over a default; a default may use what stands before it.
    """
    variables = Variables(dict(_platform_arguments(dockerfile, options)))
    for instruction in dockerfile.global_args:
        with located(instruction.location):
            for name, default in instruction.pairs:
                value = options.build_args.get(name)
                if value is None and default is not None:
                    value = expand_word(default, variables, escape=dockerfile.directives.escape)
                if value is not None:
                    variables.assign(name, value)
    return variables


def _platform_arguments(dockerfile: Dockerfile, options: Options) -> Iterator[tuple[str, str]]:
    for side, platform in (("BUILD", options.build_platform), ("TARGET", options.platform)):
        parts = (
            str(platform),
            platform.os,
            platform.os_version or "",
            platform.architecture,
            platform.variant or "",
        )
        for part, value in zip(_PLATFORM_PARTS, parts, strict=True):
            yield side + part, options.build_args.get(side + part, value)
    stage = options.target or dockerfile.stages[-1].start.name or "default"
    yield "TARGETSTAGE", options.build_args.get("TARGETSTAGE", stage)
