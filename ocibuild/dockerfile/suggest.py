"""The nearest known word to one that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_WORD = 64


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that ``word`` most likely meant, letter case aside, or None where none is near."""
    if len(word) > _MAX_WORD:
        return None
    import difflib

    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str | None:
    """Return ``did you mean X?`` as a remedy for an error, or None where nothing is near."""
    name = nearest(word, known)
    return f"did you mean {prefix}{name}?" if name else None
