"""Hypothesis strategies for JSON that is nearly right."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "a\nb", "sha256:" + "0" * 64, "application/vnd.oci.image.index.v1+json"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def paths(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where every value of a document is."""
    found = [path]
    if isinstance(document, dict):
        for key, value in document.items():
            found += paths(value, (*path, key))
    elif isinstance(document, list):
        for position, value in enumerate(document):
            found += paths(value, (*path, position))
    return found


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with another value at a path."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def nearly(document: Any) -> st.SearchStrategy[bytes]:
    """Return JSON texts that differ from the document in one place."""
    edits = st.tuples(st.sampled_from(paths(document)), anything)
    return edits.map(lambda edit: json.dumps(replaced(document, *edit)).encode())


def garbage(document: Any) -> st.SearchStrategy[bytes]:
    """Return bytes of all kinds: noise, any JSON, and what is nearly the document."""
    return st.binary(max_size=64) | anything.map(lambda value: json.dumps(value).encode()) | nearly(document)
