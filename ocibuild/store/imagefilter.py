"""Which images of a store are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ocibuild.errors import UsageError
from ocibuild.fs import Match, PatternError
from ocibuild.graph import parse_moment
from ocibuild.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocibuild.oci import Reference
    from ocibuild.store.images import StoredImage
    from ocibuild.store.lookup import ListedImage
    from ocibuild.store.summaries import ImageSummary


class _Label(NamedTuple):
    """A label that must be there, with a value where that is not None."""

    name: str
    value: str | None

    def is_of(self, image: ImageSummary) -> bool:
        labels = image.labels
        return self.name in labels and self.value in (None, labels[self.name])


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """What must be true of an image: one of the ``references`` matches, it has all ``labels``, and so on.

    A pattern is one of Go's ``path.Match``, and is held against the familiar name with and without its tag. ``before``
    and ``since`` name images, ``until`` is in nanoseconds since 1970; ``dangling`` is whether no tag names it.
    """

    references: tuple[str, ...] = ()
    labels: tuple[_Label, ...] = ()
    before: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    until: int | None = None
    dangling: bool | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Return the filter that docker's ``--filter KEY=VALUE`` say together; raises UsageError."""
        keys = ("reference", "label", "before", "since", "until", "dangling")
        given: dict[str, list[str]] = {key: [] for key in keys}
        for text in texts:
            key, equals, value = text.partition("=")
            if key not in given or not equals or not value:
                known = ", ".join(f"{key}=" for key in keys)
                raise UsageError(f"--filter {text}: not supported", remedy=f"there are {known}")
            given[key].append(value)
        for pattern in given["reference"]:
            _check_pattern(pattern)
        untils = [_until(text) for text in given["until"]]
        return cls(
            references=tuple(given["reference"]),
            labels=tuple(map(_label, given["label"])),
            before=tuple(given["before"]),
            since=tuple(given["since"]),
            until=min(untils, default=None),
            dangling=_truth(given["dangling"]),
        )

    def chosen(self, images: Iterable[ListedImage], find: Callable[[str], StoredImage]) -> list[ListedImage]:
        """Return the images that it is true of; ``find`` returns those that it names, or raises NotInStore."""
        until = None if self.until is None else self.until / 10**9
        before = [find(name).created_at for name in self.before] + ([] if until is None else [until])
        since = [find(name).created_at for name in self.since]
        patterns = [Match(pattern) for pattern in self.references]
        return [
            listed
            for listed in images
            if self.dangling in (None, listed.reference is None)
            and (not patterns or (listed.reference is not None and _matches(patterns, listed.reference)))
            and all(label.is_of(listed.summary) for label in self.labels)
            and all(listed.summary.created_at < limit for limit in before)
            and all(listed.summary.created_at > limit for limit in since)
        ]


def _matches(patterns: Iterable[Match], reference: Reference) -> bool:
    names = {reference.familiar(), reference.familiar_name()}
    return any(pattern(name) for pattern in patterns for name in names)


def _check_pattern(pattern: str) -> None:
    try:
        Match(pattern)
    except PatternError as error:
        raise UsageError(f"--filter reference={pattern}: {error}") from error


def _label(text: str) -> _Label:
    name, equals, value = text.partition("=")
    return _Label(name, value if equals else None)


def _until(text: str) -> int:
    found = parse_moment(text)
    if found is None:
        raise UsageError(f"--filter until={text}: not a span of time such as 24h, nor a time")
    return found


def _truth(texts: Iterable[str]) -> bool | None:
    found = {text.lower() for text in texts}
    if not found <= {"true", "false", "1", "0"}:
        raise UsageError(f"--filter dangling={min(found)}: neither true nor false")
    truths = {text in ("true", "1") for text in found}
    return truths.pop() if len(truths) == 1 else None
