"""How steps are run on a machine: a pure function of what it allows, and of what the user insists on."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ocibuild.errors import SandboxError


class Way(Enum):
    """How steps are run."""

    NAMESPACES = "chroot in namespaces"
    BARE = "bare chroot"
    PROOT = "proot"


class Facts(NamedTuple):
    """What a machine allows: ``refusal`` is why there are no namespaces, None where there are.

    ``root`` is whether this process may change its root and its IDs, ``follows`` whether it may trace what has changed
    its IDs, ``proot`` whether there is one.
    """

    refusal: SandboxError | None
    root: bool = False
    follows: bool = False
    proot: bool = False


def choose(wanted: str, facts: Facts) -> Way:
    """Return the best way that ``wanted`` (``auto``, ``chroot`` or ``proot``) leaves; raise SandboxError for none.

    For root without namespaces the bare one is better than a proot that may not follow ``su`` and the like.
    """
    if wanted == "proot":
        if not facts.proot:
            raise SandboxError(
                "--executor proot: there is no proot on PATH",
                remedy="install proot, or name it: OCIBUILD_PROOT, or proot in [build] of the configuration",
            )
        return Way.PROOT
    if facts.refusal is None:
        return Way.NAMESPACES
    if facts.root and not (wanted == "auto" and facts.proot and facts.follows):
        return Way.BARE
    if wanted == "auto" and facts.proot:
        return Way.PROOT
    if wanted == "chroot":
        raise SandboxError(f"--executor chroot: {facts.refusal.message}", remedy=facts.refusal.remedy)
    remedy = f"{facts.refusal.remedy}; or install proot" if facts.refusal.remedy else "install proot"
    raise SandboxError(facts.refusal.message, remedy=remedy)
