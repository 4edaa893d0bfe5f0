from __future__ import annotations

import inspect
import pickle
import re

import pytest

from ocibuild import errors
from ocibuild.errors import OcibuildError, RegistryError, SourceRange, StepFailed, without_passwords

_LINE = re.compile(r"^    ((?:│   |    )*)(?:├── |└── )?(\w+) {2,}(\S.*)$")


def drawn() -> dict[str, str | None]:
    """Return the tree in the module's docstring: the parent of each class by name."""
    parents: dict[str, str | None] = {}
    trail: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        depth = (line.index(found[2]) - 4) // 4
        parents[found[2]] = trail[depth - 1] if depth else None
        trail[depth:] = [found[2]]
    return parents


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    classes = [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == errors.__name__
    ]
    actual = {found.__name__: found.__base__.__name__ if found.__base__ else None for found in classes}
    assert drawn() == {**actual, "OcibuildError": None}
    assert OcibuildError.__base__ is Exception


def test_an_error_says_where_what_and_what_to_do() -> None:
    location = SourceRange("Dockerfile", 3, 4, ("COPY a \\", "  b"))
    assert str(OcibuildError("it broke")) == "it broke"
    assert str(OcibuildError("it broke", remedy="mend it")) == "it broke (mend it)"
    assert str(OcibuildError("it broke", remedy="mend it", location=location)) == "Dockerfile:3: it broke (mend it)"


@pytest.mark.parametrize(
    "error",
    [
        RegistryError("no", code="DENIED", status=403, retryable=True, remedy="log in"),
        StepFailed("no", exit_status=7, output=("line",)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_error_knows_is_kept(error: OcibuildError) -> None:
    assert {key: getattr(error, key) for key in vars(error)} == vars(error)
    assert error.message == "no"


def test_a_location_can_be_pickled() -> None:
    location = SourceRange("Dockerfile", 3, 4, ("RUN x",))
    assert pickle.loads(pickle.dumps(location)) == location


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see HTTPS://user:pa@ss@host/a@b, http://token@[::1]:80/", "see HTTPS://…@host/a@b, http://…@[::1]:80/"),
        ("https://host/a?b=c@d git@host:a ssh://git@host/a", "https://host/a?b=c@d git@host:a ssh://git@host/a"),
        ("http://" * 3 + "a b@c", "http://" * 3 + "a b@c"),
    ],
    ids=["passwords", "none", "no-address"],
)
def test_an_error_shows_no_password_of_a_web_address(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    assert str(OcibuildError(text)) == shown
