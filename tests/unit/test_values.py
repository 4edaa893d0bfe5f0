from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import sys
from dataclasses import FrozenInstanceError, field, replace
from typing import Any, NamedTuple

import pytest

import ocibuild
from ocibuild import values


@values.dataclass(frozen=True, slots=True)
class Ours:
    """A class as there are many."""

    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list, compare=False)
    notes: dict[str, str] = field(default_factory=dict, hash=False)
    hidden: str = field(default="secret", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """The same."""

    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list, compare=False)
    notes: dict[str, str] = field(default_factory=dict, hash=False)
    hidden: str = field(default="secret", repr=False)


@values.dataclass(slots=True)
class Counter:
    """One that changes."""

    value: int = 0
    step: int = field(default=2, init=False)
    seen: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.seen.append(self.value)


@values.dataclass(frozen=True, slots=True, kw_only=True)
class Below(Ours):
    """One that stands on another, and takes its own fields by name."""

    depth: int
    label: str = "none"


@values.dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One that is only itself."""

    name: str


@pytest.mark.parametrize("make", [Ours, Theirs], ids=["ours", "theirs"])
def test_a_class_of_ours_behaves_as_one_of_the_standard_library(make: Any) -> None:
    one, same, other = make("a"), make("a", parts=["x"]), make(name="b", size=4)
    assert (one.name, one.size, one.parts, one.hidden) == ("a", 3, [], "secret")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != make("a", notes={"b": "c"})
    assert hash(one) == hash(make("a", notes={"b": "c"}))
    assert one != "a"
    assert make("c").parts is not make("c").parts
    assert repr(other) == f"{make.__name__}(name='b', size=4, parts=[], notes={{}})"
    assert replace(one, size=9) == make("a", 9)
    assert dataclasses.asdict(other) == {"name": "b", "size": 4, "parts": [], "notes": {}, "hidden": "secret"}
    assert [found.name for found in dataclasses.fields(make)] == ["name", "size", "parts", "notes", "hidden"]
    assert copy.copy(other) == pickle.loads(pickle.dumps(other)) == other
    assert not hasattr(one, "__dict__")
    assert vars(make)["__slots__"] == ("name", "size", "parts", "notes", "hidden")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make("a", 1, [], {}, "h", "more")
    with pytest.raises(TypeError):
        make("a", unknown=1)


def test_classes_are_not_equal_for_their_values() -> None:
    theirs: object = Theirs("a")
    assert Ours("a") != theirs
    assert Ours("a") != Below(name="a", depth=1)


def test_patterns_match_by_place() -> None:
    match Ours("a", 5):
        case Ours(name, 5):
            assert name == "a"
        case _:
            raise AssertionError


def test_what_changes_has_no_hash_and_what_is_not_given_is_made() -> None:
    one = Counter(4)
    assert (one.value, one.step, one.seen) == (4, 2, [4])
    one.value = 5
    assert one == replace(Counter(5), value=5) or one.seen == [4]
    with pytest.raises(TypeError):
        hash(one)
    with pytest.raises(TypeError):
        Counter(1, 2)  # type: ignore[call-arg]


def test_fields_of_both_are_given_where_one_stands_on_another() -> None:
    one = Below("a", depth=2)
    assert (one.name, one.size, one.depth, one.label) == ("a", 3, 2, "none")
    assert vars(Below)["__slots__"] == ("depth", "label")
    with pytest.raises(TypeError):
        Below("a", 1, [], {}, "h", 2)  # type: ignore[call-arg]


def test_what_is_compared_by_identity_is_only_itself() -> None:
    one = Node("a")
    assert one == one
    assert one != Node("a")
    assert len({one, Node("a")}) == 2


class OurPlace(values.NamedTuple):
    """A place."""

    x: int
    y: list[int] = []  # noqa: RUF012

    @property
    def doubled(self) -> int:
        """Twice x."""
        return 2 * self.x

    def __repr__(self) -> str:
        return "place"


class TheirPlace(NamedTuple):
    """A place."""

    x: int
    y: list[int] = []  # noqa: RUF012

    @property
    def doubled(self) -> int:
        """Twice x."""
        return 2 * self.x

    def __repr__(self) -> str:
        return "place"


@pytest.mark.parametrize("make", [OurPlace, TheirPlace], ids=["ours", "theirs"])
def test_a_named_tuple_of_ours_behaves_as_one_of_the_standard_library(make: Any) -> None:
    one = make(1)
    assert (one, one.x, one.y, one.doubled, repr(one)) == ((1, []), 1, [], 2, "place")
    assert one._replace(y=[2]) == make(1, [2]) == make(y=[2], x=1)
    assert one._asdict() == {"x": 1, "y": []}
    assert (make._fields, make._field_defaults) == (("x", "y"), {"y": []})
    assert (make.__doc__, make.__name__, make.__module__) == ("A place.", make.__qualname__, __name__)
    assert copy.copy(one) == pickle.loads(pickle.dumps(one)) == one
    match one:
        case make(1, []):
            pass
        case _:
            raise AssertionError
    with pytest.raises(TypeError):
        make()
    with pytest.raises(AttributeError):
        one.x = 2


def test_every_class_of_ours_can_be_made() -> None:
    """What is wrong with the order of its fields would be seen with its first instance alone."""
    for module in pkgutil.walk_packages(ocibuild.__path__, "ocibuild."):
        if module.name != "ocibuild.__main__":
            importlib.import_module(module.name)
    made = {
        value
        for module in list(sys.modules.values())
        if module.__name__.startswith("ocibuild.")
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__.startswith("ocibuild.")
    }
    assert len(made) > 150
    for cls in made:
        values._init(cls, dataclasses.fields(cls), frozen=True)
