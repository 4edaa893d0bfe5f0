"""The beginning and the end of a piece of work, told as events."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, OcibuildError
from ocibuild.graph.events import Finished, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph.events import Emit


class Told:
    """What a piece of work turned out to be: ``cached`` where nothing had to be done."""

    cached = False


@contextmanager
def told(emit: Emit, step: int, label: str) -> Iterator[Told]:
    """Tell of the beginning of the work inside the block, and of its end, whatever that is."""
    begun = time.monotonic()
    outcome = Told()
    emit(Started(step, label))
    try:
        yield outcome
    except (Interrupted, KeyboardInterrupt):
        emit(Finished(step, label, time.monotonic() - begun, cancelled=True))
        raise
    except BaseException as error:
        message = error.message if isinstance(error, OcibuildError) else type(error).__name__
        emit(Finished(step, label, time.monotonic() - begun, error=message))
        raise
    emit(Finished(step, label, time.monotonic() - begun, cached=outcome.cached))
