"""The stages of a Dockerfile as what a build can aim at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocibuild.dockerfile.parser.parse import Dockerfile
    from ocibuild.errors import SourceRange


@dataclass(frozen=True, slots=True)
class BuildTarget:
    """A stage by its name, empty where it has none, with its base and its platform as written."""

    name: str
    description: str
    base: str
    platform: str
    is_default: bool
    location: SourceRange


def list_targets(dockerfile: Dockerfile) -> tuple[BuildTarget, ...]:
    """Return all stages, in order; the last one is built where no target is named."""
    starts = [stage.start for stage in dockerfile.stages]
    return tuple(
        BuildTarget(
            name=start.name,
            description=description(start.comments, start.name),
            base=start.base,
            platform=start.platform or "",
            is_default=start is starts[-1],
            location=start.location,
        )
        for start in starts
    )


def description(comments: Iterable[str], name: str) -> str:
    """Return what the ``comments`` above an instruction say of ``name``: the first that begins with it."""
    opening = f"{name} "
    found = (comment.removeprefix(opening) for comment in comments if name and comment.startswith(opening))
    return next(found, "")
