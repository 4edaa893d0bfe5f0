"""The kernel itself says what set*id(2) does: each random series of calls is made by a process and by our rules."""

from __future__ import annotations

import ctypes
import os
import random
from typing import TYPE_CHECKING

import pytest

from ocibuild.sandbox.supervisor.credentials import UNCHANGED, Book, Credentials, IDs, Refused
from tests.support.lab import in_child, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

SOME = (0, 5, 6, 7)
STEPS = 12


def _random_call(dice: random.Random) -> tuple[str, tuple[int, ...]]:
    name, count = dice.choice([("setuid", 1), ("setreuid", 2), ("setresuid", 3), ("setfsuid", 1)])
    spread = SOME if name == "setuid" else (*SOME, UNCHANGED)
    return name, tuple(dice.choice(spread) for _ in range(count))


def _by_rules(ids: IDs, name: str, values: tuple[int, ...]) -> IDs:
    privileged = ids.effective == 0
    change: dict[str, Callable[..., IDs]] = {
        "setuid": ids.set,
        "setreuid": ids.set_real_effective,
        "setresuid": ids.set_all,
        "setfsuid": ids.set_fs,
    }
    try:
        return change[name](*values, privileged=privileged)
    except Refused:
        return ids


def _by_the_kernel(libc: ctypes.CDLL, name: str, values: tuple[int, ...]) -> IDs:
    getattr(libc, name)(*(ctypes.c_uint(value) for value in values))
    return IDs(*os.getresuid(), libc.setfsuid(ctypes.c_uint(UNCHANGED)))


def _series(seed: int, length: int) -> list[tuple[str, IDs, IDs]]:
    """Return of each call what it was, and the IDs after it by the rules and by the kernel."""
    dice, libc, ids, seen = random.Random(seed), ctypes.CDLL(None), IDs.all(0), []
    for _ in range(length):
        name, values = _random_call(dice)
        ids = _by_rules(ids, name, values)
        seen.append((f"{name}{values}", ids, _by_the_kernel(libc, name, values)))
    return seen


@needs_root
@pytest.mark.parametrize("block", range(10))
def test_every_series_of_calls_ends_as_the_kernel_ends_it(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        for call, ours, kernels in in_child(lambda seed=seed: _series(seed, STEPS)):  # type: ignore[misc]
            assert ours == kernels, (seed, call)


def test_no_id_is_minus_one() -> None:
    with pytest.raises(Refused):
        IDs.all(0).set(UNCHANGED, privileged=True)


def test_book_gives_each_set_one_number_and_has_an_end() -> None:
    first = Credentials.of(0, 0, ())
    book = Book(first)
    other = Credentials.of(5, 6, (7,))
    assert (book.number(first), book.number(other), book.number(other)) == (0, 1, 1)
    assert book[1] == other
    assert book[99] == book[-1] == first  # a number that a step made up, and no number at all
    assert _fills(book)


def _fills(book: Book) -> bool:
    try:
        for number in range(1 << 17):
            book.number(Credentials.of(number, 0, ()))
    except Refused:
        return True
    return False


@pytest.mark.parametrize(("keeps", "effective", "may"), [(False, 0, True), (False, 5, False), (True, 5, True)])
def test_who_keeps_capabilities_may_still_become_anybody(keeps: bool, effective: int, may: bool) -> None:
    assert Credentials(IDs.all(effective), IDs.all(0), (), keeps).may_set_ids is may
