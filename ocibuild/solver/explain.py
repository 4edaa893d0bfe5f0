"""Why a step is not cached: its inputs held against those of a step of before. Pure functions of what there is.

What comes from a Dockerfile or a file's name is shortened here, and made safe to show by whoever shows it.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ocibuild.errors import without_passwords
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ocibuild.solver.keys import Inputs
    from ocibuild.source import Listing

_LONGEST = 60
"""Characters of a value that are shown."""
_SHOWN = 3
"""Reasons, and files of one reason, that are named before the others are only counted."""
_BELOW = ("parent", "base", "stack")
_WORDS = {
    "destination": "destination",
    "path": "directory",
    "name": "name",
    "user": "user",
    "directory": "working directory",
    "hostname": "name of the machine",
    "network": "network",
    "security": "security",
    "platform": "platform",
    "hosts": "--add-host",
    "shm": "--shm-size",
    "ulimits": "--ulimit",
    "owner": "--chown",
    "mode": "--chmod",
    "parents": "--parents",
    "exclude": "--exclude",
    "link": "--link",
    "time": "SOURCE_DATE_EPOCH",
}


class Taken(NamedTuple):
    """A tree that a step takes files from or stands on, as a user knows it, and what became of it in this build."""

    name: str
    became: str = "changed"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a user calls what a step stands on and takes from: ``sources`` in the order of a COPY's.

    ``mounts`` says by target what became of what is mounted. ``files`` gives the listing of what a digest of files in a
    build context stands for, where it is known.
    """

    below: Taken
    sources: Sequence[Taken] = ()
    mounts: Mapping[str, str] = field(default_factory=dict)
    files: Callable[[str], Listing | None] = lambda _digest: None


ONE = 2
"""The distance of steps of which one input differs."""


def distance(old: Inputs, new: Inputs, *, trees: bool = True) -> int:
    """Return how far two steps are apart: ``ONE`` for each input that differs, less for another order alone.

    Each variable of the environment, each source and each mount is one. Without ``trees``, what they stand on is none.
    """
    names = (name for name in old.keys() | new.keys() if trees or name not in _BELOW)
    return sum(_apart(name, old, new) for name in names)


def _apart(name: str, old: Inputs, new: Inputs) -> int:
    if old.get(name) == new.get(name):
        return 0
    match name:
        case "environment":
            return ONE * _differing(_variables(old), _variables(new)) or 1
        case "mounts":
            return ONE * _differing(_by_name(old["mounts"]), _by_name(new["mounts"])) or 1
        case "sources" if len(old["sources"]) == len(new["sources"]):
            pairs = zip(old["sources"], new["sources"], strict=True)
            return sum(ONE for before, after in pairs if before != after)
        case _:
            return ONE


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> int:
    return sum(before.get(name) != after.get(name) for name in before.keys() | after.keys())


def differ_in_trees_alone(old: Inputs, new: Inputs) -> bool:
    """Tell whether two steps are the same but for how the trees were made that they stand on or take files from."""
    return _without_trees(old) == _without_trees(new)


def differ_in_files_alone(old: Inputs, new: Inputs) -> bool:
    """Tell whether two COPYs are the same but for what they stand on and what the files of build contexts are."""
    return _without_files(old) == _without_files(new)


def _without_files(inputs: Inputs) -> Inputs:
    sources = [source | {"context": ""} if "context" in source else source for source in inputs["sources"]]
    return {name: value for name, value in inputs.items() if name not in _BELOW} | {"sources": sources}


def _without_trees(inputs: Inputs) -> Inputs:
    parts = {name: [_but(part, "tree") for part in inputs[name]] for name in ("sources", "mounts") if name in inputs}
    return _but(inputs, "parent") | parts


def _but(inputs: Inputs, left_out: str) -> Inputs:
    return {name: value for name, value in inputs.items() if name != left_out}


def explain(old: Inputs, new: Inputs, around: Surroundings) -> str:
    """Return in one line what differs between two steps of one kind; empty where nothing does.

    The step's own inputs come first, then what it stands on.
    """
    return _some(list(_reasons(old, new, around)), "; ", "more reasons")


def _reasons(old: Inputs, new: Inputs, around: Surroundings) -> Iterator[str]:
    names = [name for name in {**new, **old} if old.get(name) != new.get(name) and name not in _BELOW]
    for name in sorted(names, key=_rank):
        match name:
            case "command":
                yield from _commands(old["command"], new["command"])
            case "environment":
                yield from _environments(_variables(old), _variables(new))
            case "sources":
                yield from _sources(old["sources"], new["sources"], around)
            case "mounts":
                yield from _mounts(old["mounts"], new["mounts"], around)
            case "files":
                yield "its text changed"
            case "content":
                yield _elsewhere(old, new)
            case _:
                yield _changed(_WORDS.get(name, name), _text(old.get(name)), _text(new.get(name)))
    yield from _below(old, new, around.below)


def _rank(name: str) -> tuple[int, str]:
    first = ("command", "sources", "content", "files", "mounts", "environment")
    return (first.index(name) if name in first else len(first), name)


def _below(old: Inputs, new: Inputs, below: Taken) -> Iterator[str]:
    if "parent" in new:
        if old.get("parent") != new["parent"]:
            yield f"parent: {below.name} {below.became}"
    elif old.get("base") != new.get("base"):
        yield "parent: no step any more" if "parent" in old else f"base image: {below.name} {below.became}"


def _commands(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if old[:-1] != new[:-1] and _script(old) is not None and _script(new) is not None:
        yield _changed("shell", shlex.join(old[:-1]), shlex.join(new[:-1]))
        if old[-1] == new[-1]:
            return
    yield _changed("command", _shown_command(old), _shown_command(new))


def _script(args: Sequence[str]) -> str | None:
    """Return what a shell is given, None where this is no shell form."""
    return args[-1] if len(args) > 2 and args[-2] == "-c" else None


def _shown_command(args: Sequence[str]) -> str:
    script = _script(args)
    return shlex.join(args) if script is None else script


def _variables(inputs: Inputs) -> dict[str, str]:
    pairs = (setting.partition("=") for setting in inputs.get("environment", ()))
    return {name: value for name, _, value in pairs}


def _environments(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    if old == new:
        yield "ENV: another order"
    for name in {**old, **new}:
        if name not in new:
            yield f"ENV {name}: removed"
        elif name not in old:
            yield f"ENV {name}: added, {_cut(_plain(new[name]))}"
        elif old[name] != new[name]:
            yield _changed(f"ENV {name}", old[name], new[name])


def _sources(old: Sequence[Inputs], new: Sequence[Inputs], around: Surroundings) -> Iterator[str]:
    if len(old) != len(new):
        yield f"sources: {len(old)} to {len(new)}"
        return
    for before, after, taken in zip(old, new, around.sources, strict=False):
        if before != after:
            yield f"{_cut(_plain(taken.name))}: {_source(before, after, taken, around)}"


def _source(old: Inputs, new: Inputs, taken: Taken, around: Surroundings) -> str:
    if "context" in old and "context" in new and old["context"] != new["context"]:
        before, after = around.files(old["context"]), around.files(new["context"])
        if before is not None and after is not None:
            return _some(changed_files(before, after), ", ", "more") or "files changed"
    if old.get("unpack") != new.get("unpack"):
        return "archives are unpacked now" if new.get("unpack") else "archives are not unpacked any more"
    if old.get("tree") == new.get("tree") and old.get("paths") != new.get("paths"):
        return f"{' '.join(old.get('paths', ()))} to {' '.join(new.get('paths', ()))}"
    return taken.became if "tree" in new else "files changed"


def changed_files(old: Listing, new: Listing) -> list[str]:
    """Return what became of each path that two listings do not have alike, of a folder that came or went only that."""
    found, whole = [], {""}
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before is None or after is None:
            whole.add(path)
            if posixpath.dirname(path) in whole - {""}:
                continue
        found.append(f"{_cut(_plain(path))} {_became(before, after)}")
    return found


def _became(before: str | None, after: str | None) -> str:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    old, new = before.split(" "), after.split(" ")
    is_mode_alone = (old[0], old[-1]) == (new[0], new[-1])
    return "mode changed" if is_mode_alone else "changed"


def _mounts(old: Sequence[Inputs], new: Sequence[Inputs], around: Surroundings) -> Iterator[str]:
    before, after = _by_name(old), _by_name(new)
    if before == after:
        yield "mounts: another order"
    for name in {**before, **after}:
        if name not in before:
            yield f"mount {name}: added"
        elif name not in after:
            yield f"mount {name}: removed"
        elif before[name] != after[name]:
            is_source_alone = _without_source(before[name]) == _without_source(after[name])
            yield f"mount {name}: {(is_source_alone and around.mounts.get(name)) or 'changed'}"


def _by_name(mounts: Sequence[Inputs]) -> dict[str, Inputs]:
    return {str(mount.get("target") or mount.get("env") or mount.get("id") or ""): mount for mount in mounts}


def _without_source(mount: Inputs) -> Inputs:
    return {name: value for name, value in mount.items() if name not in ("tree", "path", "content")}


def _elsewhere(old: Inputs, new: Inputs) -> str:
    """Return what became of a URL or a repository."""
    if new["kind"] != "git":
        return "what the URL gives changed"
    before, after = (json.loads(inputs["content"])[0][:12] for inputs in (old, new))
    return f"commit: {before} to {after}" if before != after else "what of the commit is taken changed"


def _changed(word: str, old: str, new: str) -> str:
    old, new = _plain(old), _plain(new)
    if old == new:  # in spaces or a password
        return f"{word}: changed"
    old, new = _around_difference(old, new)
    return f"{word}: {old or 'none'} to {new or 'none'}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return "" if value is None or value is False else str(value)


def _plain(text: str) -> str:
    return without_passwords(" ".join(text.split()))


def _around_difference(old: str, new: str) -> tuple[str, str]:
    """Return both shortened, without most of a long beginning that they share."""
    pairs = enumerate(zip(old, new, strict=False))
    common = next((place for place, (before, after) in pairs if before != after), min(len(old), len(new)))
    start = max(common - _LONGEST // 3, 0) if max(len(old), len(new)) > _LONGEST else 0
    return _cut(_from(old, start)), _cut(_from(new, start))


def _from(text: str, start: int) -> str:
    return f"…{text[start:]}" if start else text


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _some(texts: Sequence[str], separator: str, others: str) -> str:
    """Return the first of these joined, and how many more there are."""
    if len(texts) <= _SHOWN + 1:
        return separator.join(texts)
    return f"{separator.join(texts[:_SHOWN])} and {len(texts) - _SHOWN} {others}"
