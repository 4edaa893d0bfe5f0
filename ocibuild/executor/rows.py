"""The rows of the table that say how a process can be run on a machine, the best first."""

from __future__ import annotations

from enum import Enum

from ocibuild.sandbox import IDs
from ocibuild.values import NamedTuple


class Row(Enum):
    """What a machine allows; each value is the row's name."""

    ROOT = "root"
    RANGE = "range"
    ONE_ID = "one-id"
    ROOT_PROOT = "root-proot"
    ROOT_CHROOT = "root-chroot"
    PROOT = "proot"
    NONE = "none"


class Way(NamedTuple):
    """How a row runs a process: its executor, whether in namespaces of its own, and the IDs that there are."""

    executor: str
    namespaces: bool
    ids: IDs


WAYS = {
    Row.ROOT: Way("chroot", namespaces=True, ids=IDs.ALL),
    Row.RANGE: Way("chroot", namespaces=True, ids=IDs.RANGE),
    Row.ONE_ID: Way("chroot", namespaces=True, ids=IDs.ONE),
    Row.ROOT_PROOT: Way("proot", namespaces=False, ids=IDs.ONE),
    Row.ROOT_CHROOT: Way("chroot", namespaces=False, ids=IDs.ALL),
    Row.PROOT: Way("proot", namespaces=False, ids=IDs.ONE),
}
"""How each row but ``NONE`` does it."""
