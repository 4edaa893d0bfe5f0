"""Where an error stands is added where it is known, which is seldom where the error is found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import DockerfileError, InvalidDigest, InvalidPlatform, InvalidReference, OcibuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.errors import SourceRange


@contextmanager
def located(location: SourceRange) -> Iterator[None]:
    """Give ``location`` to an error of the block that has none; wrong references and the like are the file's fault."""
    try:
        yield
    except (InvalidDigest, InvalidReference, InvalidPlatform) as error:
        raise DockerfileError(error.message, remedy=error.remedy, location=error.location or location) from error
    except OcibuildError as error:
        error.location = error.location or location
        raise
