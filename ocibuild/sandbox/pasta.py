"""pasta, which connects a step's own network to the machine's, as plain data."""

from __future__ import annotations

from ocibuild.values import NamedTuple

PASTA_GATEWAY = "10.0.2.2"
PASTA_RESOLVER = "10.0.2.3"


class Pasta(NamedTuple):
    """The program, and an empty file of ours to show it the network at.

    ``reaches_machine`` lets a step reach what listens on the machine's loopback, at PASTA_GATEWAY; with
    ``resolves_names`` the machine's first resolver answers at PASTA_RESOLVER, and nowhere else.
    """

    program: str
    mount_point: str
    reaches_machine: bool
    resolves_names: bool
