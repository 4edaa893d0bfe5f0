from __future__ import annotations

from ocibuild.graph import Transferred
from ocibuild.progress.transfers import Transfers


def _event(done: int, total: int | None = 100, item: str = "layer") -> Transferred:
    return Transferred(step=1, item=item, verb="downloading", done=done, total=total)


def test_the_first_the_last_and_one_every_few_seconds_are_due() -> None:
    transfers = Transfers(every=5)
    shown = [at for at in range(13) if transfers.due(_event(done=at), at)]
    assert shown == [0, 5, 10]
    assert transfers.due(_event(done=100), 13)
    assert not transfers.due(_event(done=100), 30)


def test_items_are_counted_apart() -> None:
    transfers = Transfers(every=5)
    assert transfers.due(_event(0, item="a"), 0)
    assert transfers.due(_event(0, item="b"), 0)


def test_what_was_not_shown_is_held_until_it_is() -> None:
    transfers = Transfers(every=5)
    transfers.due(_event(0, total=None), 0)
    transfers.due(_event(7, total=None), 1)
    transfers.due(_event(9, total=None), 2)
    assert transfers.held() == (_event(9, total=None),)
    assert transfers.due(_event(11, total=None), 6)
    assert transfers.held() == ()


def test_an_item_that_starts_again_completes_again() -> None:
    transfers = Transfers(every=5)
    assert transfers.due(_event(100), 0)
    assert transfers.due(_event(10), 6)
    assert transfers.due(_event(100), 7)
