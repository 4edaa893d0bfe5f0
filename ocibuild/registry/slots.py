"""How many blobs may be on their way from one server, or to it, at the same time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.registry.configuration.config import Endpoint, RegistryConfig

_PAUSE = 0.2  # seconds after which who waits asks whether all is to end


class Slots:
    """The places of each server, those for reading apart from those for writing; safe to use from threads.

    They are apart because a copy within one registry takes one of each, and would wait for itself.
    """

    def __init__(self, config: RegistryConfig, check_stopped: Callable[[], None]) -> None:
        self._config = config
        self._check_stopped = check_stopped
        self._places: dict[tuple[str, bool], threading.Semaphore] = {}
        self._lock = threading.Lock()  # guards _places

    @contextmanager
    def take(self, endpoint: Endpoint, *, push: bool = False) -> Iterator[None]:
        """Hold a place inside the block, waiting for one; raises what ``check_stopped`` does where all ends."""
        places = self._of(endpoint, push=push)
        while not places.acquire(timeout=_PAUSE):
            self._check_stopped()
        try:
            yield
        finally:
            places.release()

    def has_free(self, endpoint: Endpoint) -> bool:
        """Tell whether there is a place for reading at this moment."""
        places = self._of(endpoint, push=False)
        is_free = places.acquire(blocking=False)
        if is_free:
            places.release()
        return is_free

    def _of(self, endpoint: Endpoint, *, push: bool) -> threading.Semaphore:
        with self._lock:
            limit = self._config.host(endpoint.host).parallel
            return self._places.setdefault((endpoint.host, push), threading.Semaphore(limit))
