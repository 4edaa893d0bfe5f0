"""Where ocibuild does otherwise than BuildKit, and why."""

from __future__ import annotations

_ONE_LESS = "BuildKit counts the lines before the wrong one; ocibuild names the wrong one"

KNOWN: dict[str, str] = {
    "copy/sockets": "BuildKit makes an empty file of a socket in the context; ocibuild leaves it out",
    "copy/sockets-that-are-named": "as above; a socket that is named is refused",
    "checks/a-stage-that-is-not-there": "the error has its line, where BuildKit has none",
    "checks/a-target-that-is-not-there": "the error has a place, where BuildKit has none",
    "checks/a-directive-that-is-wrong": "as checks/a-stage-that-is-not-there",
    "checks/a-directive-that-is-not-true-or-false": "as checks/a-stage-that-is-not-there",
    "checks/platforms-of-images": "docker's checks do not look at --platform; its builds do, and find what ours does",
    "stages/a-target-by-number": "BuildKit knows targets by name alone; a number is of use where a stage has no name",
    "errors/a-line-of-more-than-64-kilobytes": _ONE_LESS,
    "text/the-same-directive-twice": _ONE_LESS,
    "corners/a-directive-twice": _ONE_LESS,
    "corners/a-target-by-number": "as stages/a-target-by-number",
    "images/a-working-directory-of-the-base-that-is-relative": "BuildKit goes into it twice, ocibuild once",
    "images/an-environment-with-odd-entries": "ocibuild gives each name one value, the last, and its =",
    "images/scratch-with-a-link-in-the-place-of-a-folder-of-the-system": "ocibuild mounts /dev on no link",
    "trees/a-hard-link-to-a-name-of-a-lower-layer": "BuildKit's layer makes two files of it; ocibuild's does not",
    "trees/an-archive-with-sparse-files-as-gnu-writes-them": "BuildKit cannot unpack GNU's form of them; ocibuild can",
    "trees/the-time-of-a-folder-alone-is-changed": "BuildKit's layer leaves the folder out; ocibuild keeps its time",
    "trees/what-is-seen-where-a-link-leads-from-the-network-s-file": "ocibuild mounts its file on the "
    "link itself: nothing is made where that leads",
    "wrong/a-null-in-a-word": "no program, file or variable can hold a NUL; ocibuild refuses it in labels, too",
    "wrong/copy-with-a-range-that-goes-down": "BuildKit refuses it in COPY from the context, and takes it with --from: "
    "in ocibuild it matches nothing, wherever from",
    "config/a-numeric-user-without-a-passwd": "a number needs no entry in a file, so it needs no file",
}
"""The reason, by the case's name. A case in here must differ: one that agrees is to be taken out."""
