"""What a Dockerfile may ask for only where the user allows it: ``--allow``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_KNOWN = ("network.host", "security.insecure")


def entitlements(values: Iterable[str]) -> frozenset[str]:
    """Return the names in ``--allow`` options, each a list with commas; raise UsageError for an unknown one."""
    names = frozenset(name for value in values for name in value.split(","))
    for name in sorted(names.difference(_KNOWN)):
        raise UsageError(f"--allow {name}: unknown", remedy=f"there are {' and '.join(_KNOWN)}")
    return names
