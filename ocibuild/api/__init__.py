"""The Python API: what the command line calls, and what other programs import.

A ``Session`` is a store and a configuration. Its methods do what the commands of the same names do, return values and
raise errors of ``ocibuild.errors``; they print nothing but the progress that they are given a stream for.
"""

from ocibuild.api.base import Settings
from ocibuild.api.building import Building
from ocibuild.api.containers import Containers
from ocibuild.api.examining import examine

__all__ = ["Session", "Settings", "examine"]


class Session(Building, Containers):
    """A store, opened at its first use, and a registry client, likewise; a context manager."""
