"""The check of user and group IDs: a range of subordinate ones, and the programs that map it."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.trial import attempt
from ocibuild.owner_records import CAPABILITY
from ocibuild.sandbox import IDs, enter
from ocibuild.sandbox.identity import IDRange, subordinate_ranges

if TYPE_CHECKING:
    from ocibuild.executor.probe.surroundings import Surroundings

_FILES = ("/etc/subuid", "/etc/subgid")
_HELPERS = ("newuidmap", "newgidmap")
_SETUID = "setuid"


def check_ids(place: Place) -> Check:
    """Enter the namespaces that a build enters, and see which IDs there are; ``value`` is the name of the IDs."""
    around = place.surroundings
    trial = attempt(_enter)
    if not trial.passed:
        return Check("ids", passed=False, evidence=trial.seen, remedy=remedies.not_entered(trial.seen))
    name, limit, complaint = trial.seen.split(" ", 2)
    if name == IDs.ONE.name:
        evidence, remedy = _what_is_missing(around, complaint)
        return Check("ids", passed=False, evidence=f"one: {evidence}", remedy=remedy, value=name.lower())
    return Check("ids", passed=True, evidence=_describe(IDs[name], int(limit), around), value=name.lower())


def _enter() -> str:
    identity = enter()
    return f"{identity.ids.name} {identity.limit} {identity.complaint}"


def _describe(ids: IDs, limit: int, around: Surroundings) -> str:
    if ids is IDs.ALL:
        return f"all {limit:,} of this machine, as root"
    if around.uid == 0:
        return f"all {limit:,} of this machine, in a user namespace"
    helper = _describe_helper(shutil.which(_HELPERS[0]) or "")
    return f"{limit:,}: this user and {_describe_ranges(_FILES[0], around)}, by {helper}"


def _describe_ranges(path: str, around: Surroundings) -> str:
    return ", ".join(f"{row.count:,} from {row.outside} ({path})" for row in subordinate_ranges(path, around.names))


def _what_is_missing(around: Surroundings, complaint: str) -> tuple[str, str]:
    """Return why there is one ID alone, and the remedy; ``complaint`` is what the helpers said, where they were run."""
    if around.uid == 0:
        return "root may map no others", remedies.FOR_ROOT_WITHOUT_IDS
    for path in _FILES:
        if not subordinate_ranges(path, around.names):
            return f"{path} has no line for {around.names[-1]}", remedies.for_subordinate_ids(around, _first_free())
    for name in _HELPERS:
        program = shutil.which(name)
        if program is None:
            return f"{name} is not on PATH", remedies.INSTALL_UIDMAP
        if not _describe_helper(program):
            return f"{program} has neither the setuid bit nor capabilities", remedies.for_helpers(around)
    setuid = _SETUID in _describe_helper(shutil.which(_HELPERS[0]) or "")
    return complaint, remedies.for_complaint(around, setuid=setuid)


def _describe_helper(program: str) -> str:
    """Return what lets a helper do more than who calls it; nothing where nothing does."""
    try:
        found = os.stat(program)
        if found.st_mode & stat.S_ISUID and found.st_uid == 0:
            return f"{program}, {_SETUID}"
        os.getxattr(program, CAPABILITY)
    except OSError:
        return ""
    return f"{program}, with file capabilities"


def _first_free() -> int:
    """Return an ID after all that the machine's files give to anybody, in the tradition 100000 at least."""
    rows = [row for path in _FILES for row in _all_ranges(path)]
    return max([100_000, *(row.outside + row.count for row in rows)])


def _all_ranges(path: str) -> tuple[IDRange, ...]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[0] for line in file]
    except OSError:
        return ()
    return subordinate_ranges(path, names)
