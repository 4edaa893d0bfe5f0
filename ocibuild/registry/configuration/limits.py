"""The limits of images in the configuration file.

::

    [limits]
    image-size = "128GiB"    # plain bytes of all layers of an image together
    layer-ratio = 200        # plain to compressed bytes of one layer, from 1 GiB on
    layer-entries = 10000000
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.errors import ConfigError
from ocibuild.oci import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = ("image-size", "layer-ratio", "layer-entries")
_SIZE = re.compile(r"([0-9]{1,18}) ?(|B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)")
_UNITS = {
    "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip


def parse_limits(table: object, path: str) -> Limits:
    """Return what the table ``[limits]`` of the file ``path`` says; what it leaves out is as without a file.

    Raises ConfigError for an unknown key, and for what is not a number above 0.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: limits must be a table")
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"{path}: unknown key 'limits.{key}'", remedy=f"known here: {', '.join(_KEYS)}")
    usual = Limits()
    return Limits(
        total=_size(table, "image-size", usual.total, path),
        ratio=_number(table, "layer-ratio", usual.ratio, path),
        entries=_number(table, "layer-entries", usual.entries, path),
    )


def _number(table: Mapping[str, object], key: str, usual: int, path: str) -> int:
    value = table.get(key, usual)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{path}: limits.{key} must be a number above 0")
    return value


def _size(table: Mapping[str, object], key: str, usual: int, path: str) -> int:
    value = table.get(key, usual)
    if not isinstance(value, str):
        return _number(table, key, usual, path)
    match = _SIZE.fullmatch(value)
    if match is None or not int(match[1]):
        raise ConfigError(f"{path}: limits.{key}: {value!r} is not a size", remedy="write bytes, or a text like 64GiB")
    return int(match[1]) * _UNITS[match[2]]
