"""Paths below an open directory, and patterns for names."""

from ocibuild.fs.content import ContentCopier, have_same_bytes
from ocibuild.fs.cursor import Cursor
from ocibuild.fs.diskusage import disk_usage
from ocibuild.fs.modes import ModeChange
from ocibuild.fs.opening import open_readable
from ocibuild.fs.patterns import IgnorePatterns, Match, PatternError, has_wildcard, literal_start, may_match_below
from ocibuild.fs.root import Root, remove_path
from ocibuild.fs.tree import remove_entry, same_times, status_of

__all__ = [
    "ContentCopier",
    "Cursor",
    "IgnorePatterns",
    "Match",
    "ModeChange",
    "PatternError",
    "Root",
    "disk_usage",
    "has_wildcard",
    "have_same_bytes",
    "literal_start",
    "may_match_below",
    "open_readable",
    "remove_entry",
    "remove_path",
    "same_times",
    "status_of",
]
