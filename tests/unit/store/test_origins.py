from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.oci import Digest, Reference
from ocibuild.store import Store

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def test_repositories_of_a_registry_come_latest_first_and_not_too_many(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        for name in ("a.example/one", "b.example/one", "a.example/two", "a.example/three", "a.example/four"):
            store.origins.add(ONE, Reference.parse(name))
        assert store.origins.repositories(ONE, "a.example") == ("four", "three", "two")
        assert store.origins.repositories(ONE, "b.example") == ("one",)
        assert store.origins.repositories(ONE, "c.example") == ()
        assert store.origins.repositories(TWO, "a.example") == ()


def test_what_is_known_is_kept_and_written_once(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        store.origins.add(ONE, Reference.parse("a.example/one:1"))
        store.origins.add(ONE, Reference.parse("a.example/two:1"))
        store.origins.add(ONE, Reference.parse("a.example/one:2"))
    with Store.open(str(tmp_path)) as store:
        assert store.origins.repositories(ONE, "a.example") == ("two", "one")
