"""A template as a user gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.cli.gotemplate.functions import FUNCTIONS, LAZY, OF_HEADINGS
from ocibuild.cli.gotemplate.parser import parse
from ocibuild.cli.gotemplate.rendering import render

if TYPE_CHECKING:
    from collections.abc import Mapping


class Template:
    """A template, read; raises UsageError where it cannot mean anything."""

    def __init__(self, text: str) -> None:
        self._nodes = parse(text, FUNCTIONS.keys() | LAZY)

    def render(self, value: object) -> str:
        """Return what it gives for ``value``, made of what JSON has; raises UsageError where that does not fit."""
        return render(self._nodes, value, FUNCTIONS)

    def heading(self, headings: Mapping[str, str]) -> str:
        """Return what it gives where each member is the heading of its column."""
        return render(self._nodes, dict(headings), OF_HEADINGS)
