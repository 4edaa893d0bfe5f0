"""What every part of the API stands on: a store, a registry client, and this process's namespaces."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Self, TextIO

from ocibuild.graph import Warned
from ocibuild.progress import Mode, display
from ocibuild.store import Store, translate_errors
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.executor import Forced
    from ocibuild.graph import Emit
    from ocibuild.machine import Machine
    from ocibuild.oci import Limits
    from ocibuild.progress import Display
    from ocibuild.registry import Registry, RegistryConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store and the configuration are, and how progress is shown, on ``stream``."""

    root: str
    config: str | None = None
    progress: Mode = Mode.AUTO
    stream: TextIO = sys.stderr


class SessionBase:
    """A store, opened at its first use, and a registry client, likewise; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cleanup = ExitStack()
        self._emit: Emit | None = None  # while something is shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @cached_property
    def store(self) -> Store:
        """The store."""
        return self._cleanup.enter_context(Store.open(self._settings.root))

    @cached_property
    def registry(self) -> Registry:
        """The registry client."""
        from ocibuild.registry import Credentials, Registry

        return self._cleanup.enter_context(Registry(self._config, Credentials.load(os.environ), warn=self._warn))

    @cached_property
    def _config(self) -> RegistryConfig:
        return load_config(self._settings.config)

    def _limits(self) -> Limits:
        return self._config.limits

    @contextmanager
    def _working(self, forced: Forced | None = None) -> Iterator[Machine]:
        """Enter this process's namespaces, as ``_machine()`` does, and let nothing be pruned that is used from now on.

        At the end what is more than may be kept is pruned, where the configuration says how much that is.
        """
        with self._machine(forced) as machine, translate_errors(self._settings.root):
            with self.store.leases.held():
                yield machine
            if self._settings.config is not None and (keep := self._config.keep_storage) is not None:
                from ocibuild.store import Pruning

                self.store.usage.prune(Pruning(everything=True, keep=keep))

    @contextmanager
    def _machine(self, forced: Forced | None = None) -> Iterator[Machine]:
        """Enter this process's namespaces: before there is a thread, and before the database is open."""
        from ocibuild.executor import Forced
        from ocibuild.machine import Machine

        machine = Machine.enter(forced or Forced(), self._proot)
        try:
            yield machine
        finally:
            machine.close()

    def _proot(self) -> str | None:
        from ocibuild.executor.proot import find_proot

        return find_proot(self._config.proot, os.environ)

    @contextmanager
    def _shown(self, title: str) -> Iterator[Display]:
        with display(self._settings.progress, self._settings.stream, title=title) as shown:
            self._emit = shown
            try:
                yield shown
            finally:
                self._emit = None

    def _write_warning(self, message: str) -> None:
        """Write a warning where there is no progress that would show it."""
        self._settings.stream.write(f"WARNING: {message}\n")

    def _warn(self, message: str) -> None:
        if self._emit is not None:
            self._emit(Warned(message))

    def _stop_transfers(self) -> None:
        if "registry" in self.__dict__:
            self.registry.stop()


def load_config(path: str | None) -> RegistryConfig:
    """Return the configuration of a file, or the usual one without; raise ConfigError."""
    from ocibuild.registry import RegistryConfig, usual_certificate_folders

    return RegistryConfig.load(path, certificate_folders=usual_certificate_folders(os.environ))
