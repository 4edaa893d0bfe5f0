"""The sources and flags of COPY and ADD, checked once their variables are expanded."""

from __future__ import annotations

import re

from ocibuild.errors import DockerfileError

_GIT = re.compile(r"(?:git|ssh)://|[a-zA-Z0-9._-]+@[a-zA-Z0-9.-]+:")
_GIT_OVER_HTTP = re.compile(r"https?://[^?#]*\.git(?:[?#]|$)")
_HTTP = ("http://", "https://")
_MAX_MODE = 0o7777


def require_local(name: str, source: str) -> None:
    """Raise DockerfileError where ``source`` of the instruction ``name`` is not a path, but a URL or a repository."""
    if _GIT.match(source) or _GIT_OVER_HTTP.match(source):
        kind = "a Git repository"
    elif source.startswith(_HTTP):
        kind = "a URL"
    else:
        return
    if name == "COPY":
        raise DockerfileError(f"the source of COPY cannot be {kind}", remedy="only ADD can fetch")
    raise DockerfileError(f"ADD of {kind} is not built yet")


def parse_mode(name: str, mode: str) -> int | None:
    """Return the mode of ``--chmod``, None where it is empty; symbolic modes are refused by name for now."""
    if not mode:
        return None
    if re.fullmatch("[0-7]{1,12}", mode) and int(mode, 8) <= _MAX_MODE:
        return int(mode, 8)
    if mode[0].isdigit():
        raise DockerfileError(f"invalid {name} --chmod={mode}", remedy="it is octal, between 0 and 07777")
    raise DockerfileError(f"{name} --chmod={mode}: symbolic modes are not built yet", remedy="write it in octal")
