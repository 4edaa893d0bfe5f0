"""Folders removed by a thread beside the others: nobody waits for the end of what is of no use any more."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ocibuild.fs import remove_path

if TYPE_CHECKING:
    from ocibuild.store.locks import Lock


class Sweeper:
    """Removes folders in their order; whatever it cannot remove, the next process that recovers does."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[str, Lock] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def remove(self, path: str, lock: Lock) -> None:
        """Have a folder removed, and the lock on it closed then; from one thread after the other."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sweeper", daemon=True)
            self._thread.start()
        self._queue.put((path, lock))

    def finish(self) -> None:
        """Wait until all is removed; safe to repeat, and more may follow."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (found := self._queue.get()) is not None:
            path, lock = found
            try:
                with suppress(OSError):
                    remove_path(path)
            finally:
                lock.close()
