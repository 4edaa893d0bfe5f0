"""Where ocibuild does otherwise than BuildKit, and why."""

from __future__ import annotations

_ONE_LESS = "BuildKit counts the lines before the wrong one; ocibuild names the wrong one"

KNOWN: dict[str, str] = {
    "copy/sockets": "BuildKit makes an empty file of a socket in the context; ocibuild leaves it out",
    "copy/sockets-that-are-named": "as above; a socket that is named is refused",
    "checks/a-stage-that-is-not-there": "the error has its line, where BuildKit has none",
    "checks/a-target-that-is-not-there": "the error has a place, where BuildKit has none",
    "checks/platforms-of-images": "docker's checks do not look at --platform; its builds do, and find what ours does",
    "stages/a-target-by-number": "BuildKit knows targets by name alone; a number is of use where a stage has no name",
    "errors/a-line-of-more-than-64-kilobytes": _ONE_LESS,
    "text/the-same-directive-twice": _ONE_LESS,
    "corners/a-directive-twice": _ONE_LESS,
    "corners/a-target-by-number": "as stages/a-target-by-number",
    "config/a-numeric-user-without-a-passwd": "a number needs no entry in a file, so it needs no file",
}
"""The reason, by the case's name. A case in here must differ: one that agrees is to be taken out."""
