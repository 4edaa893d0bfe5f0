"""What a contestant may be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from benchmarks.measure import Command


class Contestant(ABC):
    """A program with a store of its own. ``name`` is unique in a run; a work names those who can do it."""

    name: str

    @abstractmethod
    def version(self) -> str:
        """Return name and version of what takes part, and how it is run."""

    @abstractmethod
    def empty(self) -> None:
        """Forget everything that was ever pulled, built or cached. Raises CommandFailed."""

    def renew(self) -> None:  # noqa: B027  (not everybody has a store that grows)
        """Go on with a store in which nothing is, and give back the space of the old one, where that can be had."""

    def build(self, context: str, tag: str) -> Command:
        """Return the command that builds the context's Dockerfile into the contestant's store."""
        raise NotImplementedError(context, tag)

    def build_and_push(self, context: str, reference: str) -> Command:
        """Return the command that builds the context's Dockerfile, and pushes what comes of it."""
        raise NotImplementedError(context, reference)

    def fill_cache(self, context: str, tag: str, cache: str) -> Command:
        """Return the command that builds likewise, and puts what was built into a cache, a registry's repository."""
        raise NotImplementedError(context, tag, cache)

    def build_from_cache(self, context: str, tag: str, cache: str) -> Command:
        """Return the command that builds with what such a cache has, into the contestant's store."""
        raise NotImplementedError(context, tag, cache)

    def elsewhere(self) -> AbstractContextManager[Contestant]:
        """Give the same program with another store, as on another machine. Raises CommandFailed."""
        raise NotImplementedError

    def run(self, reference: str, script: str) -> Command:
        """Return the command that runs a shell script in an image that is there, and forgets what it changes."""
        raise NotImplementedError(reference, script)

    def pull(self, reference: str) -> Command:
        """Return the command that pulls an image into the contestant's store and unpacks it."""
        raise NotImplementedError(reference)

    def copy(self, source: str, destination: str) -> Command:
        """Return the command that copies an image from one registry to another."""
        raise NotImplementedError(source, destination)

    def keep(self, reference: str) -> Command:
        """Return the command that makes an image ready to be pushed."""
        raise NotImplementedError(reference)

    def push(self, reference: str, destination: str) -> Command:
        """Return the command that pushes an image that was made ready."""
        raise NotImplementedError(reference, destination)

    def load(self, archive: str) -> Command:
        """Return the command that takes the images of an archive into the contestant's store."""
        raise NotImplementedError(archive)

    def list_images(self) -> Command:
        """Return the command that lists what is in the contestant's store, a line each after a heading."""
        raise NotImplementedError

    def place(self) -> str:
        """Return a folder that the contestant can write to."""
        raise NotImplementedError

    def save(self, reference: str, path: str) -> Command:
        """Return the command that writes an image that is there to a file."""
        raise NotImplementedError(reference, path)

    def daemons(self) -> Sequence[int]:
        """Return the processes that work for the contestant and were there before its command."""
        return ()
