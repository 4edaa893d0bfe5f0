"""Splits text into words."""

import re


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order."""
    return re.findall(r"\w+", text.lower())
