"""What users are told of the work on a vertex: its beginning and end, and where in a Dockerfile an error belongs."""

from __future__ import annotations

import errno
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocibuild.errors import Interrupted, OcibuildError, SourceError
from ocibuild.graph import Finished, Started
from ocibuild.store import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.graph import Vertex
    from ocibuild.solver.workshop import Inputs


class Told:
    """What the work on a vertex turned out to be."""

    cached = False


@contextmanager
def told(inputs: Inputs, vertex: Vertex, step: int) -> Iterator[Told]:
    """Tell of the beginning and the end of the work on a vertex, and give its errors their place."""
    begun = time.monotonic()
    label = vertex.origin.label
    outcome = Told()
    inputs.emit(Started(step, label))
    try:
        with located(vertex), translate_errors(inputs.store.root):
            yield outcome
    except Interrupted:
        inputs.emit(Finished(step, label, time.monotonic() - begun, cancelled=True))
        raise
    except BaseException as error:
        message = error.message if isinstance(error, OcibuildError) else type(error).__name__
        inputs.emit(Finished(step, label, time.monotonic() - begun, error=message))
        raise
    inputs.emit(Finished(step, label, time.monotonic() - begun, cached=outcome.cached))


def tell_cached(inputs: Inputs, vertex: Vertex, step: int) -> None:
    """Tell of a vertex about which nothing is to be done."""
    inputs.emit(Started(step, vertex.origin.label))
    inputs.emit(Finished(step, vertex.origin.label, 0.0, cached=True))


@contextmanager
def located(vertex: Vertex) -> Iterator[None]:
    """Give an error from inside the block the place of the instruction, where it has none yet."""
    try:
        yield
    except OcibuildError as error:
        error.location = error.location or vertex.origin.location
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise SourceError(f"{error.filename}: {error.strerror}", location=vertex.origin.location) from error
