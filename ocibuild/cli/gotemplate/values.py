"""Values as Go's templates see them: what is true, what comes first, and how they are written."""

from __future__ import annotations

from typing import Any


def is_true(value: object) -> bool:
    """Tell whether a value is what Go calls true: neither zero nor empty."""
    return bool(value)


def written(value: object, *, inside: bool = False) -> str:
    """Return a value as ``%v`` writes it; ``inside`` is for one in a list or map."""
    match value:
        case None:
            return "<nil>" if inside else "<no value>"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{' '.join(written(one, inside=True) for one in value)}]"
        case dict() if inside and not value:  # Go's set: a map to struct{}
            return "{}"
        case dict():
            return f"map[{' '.join(f'{key}:{written(value[key], inside=True)}' for key in sorted(value))}]"
        case float():
            return f"{value:.15g}"
        case _:
            return str(value)


def items_of(value: object) -> list[tuple[Any, Any]]:
    """Return what ``range`` goes through, with its keys: a list, a map in the order of its keys, or a number of times.

    Raises TypeError for what cannot be gone through.
    """
    match value:
        case None:
            return []
        case bool():
            raise TypeError
        case int():
            return [(number, number) for number in range(value)]
        case dict():
            return sorted(value.items())
        case list() | tuple():
            return list(enumerate(value))
        case _:
            raise TypeError
