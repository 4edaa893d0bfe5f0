"""URLs as anybody may see them."""

from __future__ import annotations


def shown_url(url: str) -> str:
    """Return ``url`` without what may be secret in it: user, password and query."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
