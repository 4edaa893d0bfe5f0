"""Where two images that should be the same differ first."""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ocibuild.layer.compression import decompress
from ocibuild.layer.entry import Kind
from ocibuild.layer.reader import Pieces, TarReader
from ocibuild.oci import compression_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.layer.entry import Entry
    from ocibuild.store import Blobs, Layer, StoredImage

_FIELDS = ("kind", "mode", "uid", "gid", "size", "mtime_ns", "linkname", "device", "xattrs")
_WORDS = {"uid": "owner", "gid": "group", "mtime_ns": "time", "linkname": "target", "xattrs": "extended attributes"}


def first_difference(blobs: Blobs, one: StoredImage, other: StoredImage) -> str | None:
    """Return in one line the first difference of two images, in a file of a layer or in the config; None for none.

    Raises NotInStore, InvalidLayer.
    """
    steps = [entry.created_by for entry in one.config.history if not entry.empty_layer]
    for number, (first, second) in enumerate(zip_longest(one.layers, other.layers)):
        if first is None or second is None:
            return f"one has {len(one.layers)} layers, the other {len(other.layers)}"
        if first.diff_id != second.diff_id:
            step = f" ({steps[number]})" if number < len(steps) else ""
            return f"layer {number + 1}{step}: {_in_layers(blobs, first, second)}"
    found = next(_in_documents(one.config.to_json(), other.config.to_json(), ""), None)
    return f"config: {found}" if found else None


def _in_layers(blobs: Blobs, one: Layer, other: Layer) -> str:
    for first, second in zip_longest(_entries(blobs, one), _entries(blobs, other)):
        if first is None or second is None or first[0].name != second[0].name:
            names = sorted(entry[0].name for entry in (first, second) if entry is not None)
            return f"{names[0]}: is in one alone"
        for field in _FIELDS:
            before, after = getattr(first[0], field), getattr(second[0], field)
            if before != after:
                what = f"its {_WORDS.get(field, field)} is {_shown(field, before)} and {_shown(field, after)}"
                return f"{first[0].name}: {what}"
        if first[1] != second[1]:
            return f"{first[0].name}: its content"
    return "the tars differ in what no file shows"


def _entries(blobs: Blobs, layer: Layer) -> Iterator[tuple[Entry, str]]:
    """Yield the entries of a layer, each with a digest of its content."""
    with blobs.open(layer.descriptor.digest) as blob:
        pieces = decompress(blob, compression_of(layer.descriptor.media_type))
        reader = TarReader(Pieces(pieces))
        for entry in reader:
            hasher = hashlib.sha256()
            if entry.kind is Kind.FILE:
                for piece in reader.body():
                    hasher.update(piece)
            yield entry, hasher.hexdigest()


def _shown(field: str, value: Any) -> str:
    match field:
        case "mtime_ns":
            from ocibuild.graph import format_time

            return format_time(value)
        case "mode":
            return f"{value:o}"
        case "kind":
            return str(value.value)
        case _:
            return f"{value!s:.80}"


def _in_documents(one: Any, other: Any, where: str) -> Iterator[str]:
    """Yield where two JSON documents differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _in_documents(one.get(key), other.get(key), f"{where}.{key}" if where else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _in_documents(first, second, f"{where}[{number}]")
    elif one != other:
        yield f"{where} is {one!s:.80} and {other!s:.80}"
