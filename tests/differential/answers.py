"""What a builder made of a case, as a value to compare and to keep."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.trees import changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.differential.cases import Case
    from tests.support.trees import Image, Tree


@dataclass(frozen=True, slots=True)
class Answer:
    """``message`` is what was printed, and is shown, but not compared.

    ``lines`` are the first and the last line of the Dockerfile that an error is about. ``tree`` has a line for each
    name that is otherwise than in BASE. ``report`` is what a ``call`` printed.
    """

    built: bool
    message: str
    lines: tuple[int, int] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    tree: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    report: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Answer:
        values: dict[str, Any] = json.loads(text)
        for key in ("lines", "history", "tree", "times", "report"):
            values[key] = None if values[key] is None else tuple(values[key])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all cases: what BASE holds, and the addresses that stand for words of the cases."""

    base: Tree
    names: Mapping[str, str]

    def steady(self, content: bytes) -> bytes:
        """Return what a file holds, the addresses in it replaced by the words they stand for."""
        for name, value in self.names.items():
            content = content.replace(value.encode(), name.encode())
        return content


def answer_of_image(case: Case, image: Image, message: str, setting: Setting) -> Answer:
    """Return what is compared of an image."""
    document = json.loads(setting.steady(json.dumps(image.config).encode()))
    # Go writes null for an image of nothing
    history = tuple(_history(entry) for entry in document.pop("history", None) or ())
    return Answer(
        built=True,
        message=message,
        config=_config(document),
        history=history,
        tree=tuple(changes(setting.base, image.tree)),
        times=tuple(_time(image, path) for path in case.times),
    )


def _config(document: dict[str, Any]) -> dict[str, Any]:
    # when the image was made
    document.pop("created", None)
    # a layer's digest depends on the times in it and on the order of its entries; how many there are does not
    document["layers"] = len(document.pop("rootfs", {}).get("diff_ids") or ())
    # Go writes null for what is not set in some places, and leaves it out in others; to a reader they are the same
    return {
        **{key: value for key, value in document.items() if value is not None and key != "config"},
        **{f"config.{key}": value for key, value in (document.get("config") or {}).items() if value is not None},
    }


def _history(entry: dict[str, Any]) -> str:
    # when the step was made
    return json.dumps({key: value for key, value in sorted(entry.items()) if key != "created"}, ensure_ascii=False)


def _time(image: Image, path: str) -> str:
    node = image.tree.get(path)
    return f"{path} {node.mtime if node else 'is not there'}"


def differences(case: Case, theirs: Answer, ours: Answer) -> list[str]:
    """Return how ``ours`` is otherwise, a line each; nothing where it is the same."""
    if theirs.built != ours.built:
        return [f"BuildKit {_outcome(theirs)}", f"ocibuild {_outcome(ours)}"]
    if not theirs.built:
        return list(_compare_lines(theirs, ours))
    return [
        *_compare_config(theirs.config, ours.config),
        *_compare_lists("history", theirs.history, ours.history),
        *_compare_lists("tree", theirs.tree, ours.tree),
        *_compare_lists("time", theirs.times, ours.times),
        *_compare_lists(case.call or "report", theirs.report, ours.report),
    ]


def _outcome(answer: Answer) -> str:
    return "builds it" if answer.built else f"fails:\n{answer.message.strip()[-1500:]}"


def _compare_lines(theirs: Answer, ours: Answer) -> Iterator[str]:
    """Both say no; what BuildKit says of the place must be right in ours."""
    if theirs.lines is None:
        return
    first, last = sorted(theirs.lines)  # a circle is shown from the line that closes it
    if ours.lines is None or not first <= ours.lines[0] <= last:
        place = f"line {ours.lines[0]}" if ours.lines else "no line"
        yield f"BuildKit complains about line {first}, ocibuild about {place}:\n{ours.message.strip()[-1500:]}"


def _compare_config(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*theirs, *ours}):
        if theirs.get(key) != ours.get(key):
            yield f"{key}\n  - {_shown(theirs, key)}\n  + {_shown(ours, key)}"


def _shown(document: Mapping[str, Any], key: str) -> str:
    return json.dumps(document[key], ensure_ascii=False) if key in document else "not set"


def _compare_lists(name: str, theirs: Sequence[str], ours: Sequence[str]) -> Iterator[str]:
    """Compare line by line where there are as many, else as sets."""
    if name == "history" and len(theirs) == len(ours):
        pairs = [(left, right) for left, right in zip(theirs, ours, strict=True) if left != right]
        yield from (f"{name}\n  - {left}\n  + {right}" for left, right in pairs)
        return
    for line in [line for line in theirs if line not in ours]:
        yield f"{name}\n  - {line}"
    for line in [line for line in ours if line not in theirs]:
        yield f"{name}\n  + {line}"
