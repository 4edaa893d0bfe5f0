"""A process to be run in a root file system, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """What to run: ``args`` whole, ``env`` as ``NAME=value``, ``user`` as in USER; False for ``network`` is none."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    user: str = ""
    working_dir: str = "/"
    hostname: str = "ocibuild"
    network: bool = True
