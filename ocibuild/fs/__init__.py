"""Paths below an open directory, and patterns for names."""

from ocibuild.fs.patterns import IgnorePatterns, Match, PatternError, has_wildcard
from ocibuild.fs.root import Root
from ocibuild.fs.tree import remove_tree

__all__ = ["IgnorePatterns", "Match", "PatternError", "Root", "has_wildcard", "remove_tree"]
