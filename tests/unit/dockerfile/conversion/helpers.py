"""Shared by the tests of this folder: parsing and converting text, with a table in place of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.dockerfile import Options, ResolvedBase, Target, convert, parse
from ocibuild.errors import DockerfileError
from ocibuild.oci import Digest, ImageConfig, Platform, Reference, RunConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocibuild.graph import Vertex

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Images:
    """Answers as a registry would: an empty config for any name, or the one given; remembers what was asked."""

    def __init__(
        self, configs: Mapping[str, RunConfig] | None = None, whole: Mapping[str, ImageConfig] | None = None
    ) -> None:
        self.configs = {str(Reference.parse(name)): config for name, config in (configs or {}).items()}
        self.whole = {str(Reference.parse(name)): config for name, config in (whole or {}).items()}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, reference: Reference, platform: Platform) -> ResolvedBase:
        self.asked.append((reference.familiar(), str(platform)))
        config = ImageConfig(platform=platform, config=self.configs.get(str(reference), RunConfig()))
        return ResolvedBase(Digest.of(str(reference).encode()), self.whole.get(str(reference), config))


def options(**changes: object) -> Options:
    return Options(**{"platform": AMD64, "build_platform": AMD64, **changes})  # type: ignore[arg-type]  # a test's table


def build(text: str, images: Images | None = None, **changes: object) -> Target:
    return convert(parse(text.encode(), file="Dockerfile"), options(**changes), images or Images())


def chain(target: Target) -> list[Vertex]:
    """Return the vertices from the base to the target's."""
    found: list[Vertex] = []
    vertex: Vertex | None = target.vertex
    while vertex is not None:
        found.append(vertex)
        vertex = getattr(vertex, "base", None)
    return found[::-1]


def labels(target: Target) -> list[str]:
    return [vertex.origin.label for vertex in chain(target)]


def created_by(target: Target) -> list[str]:
    return [entry.created_by for entry in target.config.history]


def refusal(attempt: Callable[[], object]) -> DockerfileError | None:
    """Return the DockerfileError that ``attempt`` ends in, None where it succeeds."""
    try:
        attempt()
    except DockerfileError as error:
        return error
    return None


def refused(text: str, images: Images | None = None, **changes: object) -> DockerfileError:
    """Return the error that building ``text`` ends in."""
    with pytest.raises(DockerfileError) as caught:
        build(text, images, **changes)
    assert caught.value.location is not None
    return caught.value
