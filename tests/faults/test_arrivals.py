"""Which error is raised where several things go wrong at once, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import InvalidLayer, NotFound
from ocibuild.oci import Digest
from tests.faults.test_images_refused import layer_with
from tests.faults.world import IMAGE, NOISE
from tests.support import faults
from tests.support.hub import ALWAYS

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.support.hub import Exchange


def test_a_layer_that_is_wrong_from_its_beginning_is_not_called_interrupted(world: World) -> None:
    """It is found out while it arrives, and what still arrives is given up because of that."""
    bad = layer_with(NOISE)

    def slowly(exchange: Exchange) -> None:
        head, body = exchange.answer()
        exchange.send(head, body[:600_000])
        exchange.wait(0.3)
        for start in range(600_000, len(body), 10_000):
            exchange.send(body[start : start + 10_000])
            exchange.wait(0.005)

    reference = bad.publish(world.hub, "library/bad")
    world.hub.fail("cdn GET layer 1", slowly, times=ALWAYS)
    with pytest.raises(InvalidLayer, match=f"{reference}.*{Digest.of(NOISE)}.*gzip"):
        world.pull(reference)
    world.check_has_not(bad, reference)
    assert not set(map(Digest.of, bad.layers)) & set(world.store.blobs)


def test_what_was_whole_stays_where_another_layer_does_not_come(world: World) -> None:
    def after_the_other(exchange: Exchange) -> None:
        while not world.store.blobs.has(Digest.of(IMAGE.layers[0])) and exchange.wait(0.01):
            pass
        faults.status(404)(exchange)

    world.hub.fail("registry GET layer 1", after_the_other)
    with pytest.raises(NotFound, match=str(Digest.of(IMAGE.layers[1]))):
        world.pull()
    world.check_has_not(IMAGE)
    world.pull()
    world.check_has(IMAGE)
    assert len(world.hub.of("cdn GET layer 0")) == 1
