"""The fixtures of the tests that run the installed program; a folder's conftest imports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.program import PROGRAMS, ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.program import Program


@pytest.fixture(params=PROGRAMS)
def ocibuild(request: pytest.FixtureRequest) -> Iterator[Program]:
    """ocibuild as root, then as an ordinary user with a range of subordinate IDs; each with an empty store."""
    with PROGRAMS[request.param]() as program:
        yield program


@pytest.fixture(scope="module", params=PROGRAMS)
def shared(request: pytest.FixtureRequest) -> Iterator[Program]:
    """The same, with one store for all tests of a module."""
    with PROGRAMS[request.param]() as program:
        yield program


@pytest.fixture(scope="module", params=ROWS)
def everywhere(request: pytest.FixtureRequest) -> Iterator[Program]:
    """The same, and as a user who has one ID alone."""
    with ROWS[request.param]() as program:
        yield program
