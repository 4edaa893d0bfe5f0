from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from ocibuild.build.bases import Bases
from ocibuild.errors import NotFound
from ocibuild.graph import Finished, Started
from ocibuild.oci import ImageConfig, Platform, Reference
from ocibuild.output import write_image
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocibuild.graph import Event
    from ocibuild.oci import Descriptor

HOST, ARM64 = Platform.host(), Platform("linux", "s390x")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def put(store: Store, name: str, platform: Platform = HOST) -> Descriptor:
    descriptor = write_image(store.blobs, ImageConfig(platform), [], {})
    store.tags.set(Reference.parse(name), descriptor)
    return descriptor


def unreachable() -> NoReturn:
    raise NotFound("the registry was asked")


def test_a_tag_that_the_store_knows_needs_no_registry(store: Store) -> None:
    events: list[Event] = []
    descriptor = put(store, "base")
    bases = Bases(store, unreachable, events.append, pull=False)
    assert bases.resolve(Reference.parse("base"), HOST).digest == descriptor.digest
    assert bases.resolve(Reference.parse(f"base@{descriptor.digest}"), HOST).digest == descriptor.digest
    assert bases.steps == 2
    first, last = events[:2]
    assert first == Started(1, "[internal] load metadata for docker.io/library/base:latest")
    assert isinstance(last, Finished)
    assert last.cached


@pytest.mark.parametrize("how", ["unknown", "pull", "other platform", "missing blob"])
def test_the_registry_is_asked_where_the_store_does_not_know(store: Store, how: str) -> None:
    events: list[Event] = []
    if how != "unknown":
        descriptor = put(store, "base", ARM64 if how == "other platform" else HOST)
        if how == "missing blob":
            os.unlink(store.blobs.path(descriptor.digest))
    with pytest.raises(NotFound, match="the registry was asked"):
        Bases(store, unreachable, events.append, pull=how == "pull").resolve(Reference.parse("base"), HOST)
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.error == "the registry was asked"


def test_what_a_registry_gives_is_known_from_then_on(store: Store, machine_base: str) -> None:
    events: list[Event] = []
    reference = Reference.parse(machine_base)
    with Registry(RegistryConfig(), Credentials()) as registry:
        found = Bases(store, lambda: registry, events.append, pull=False).resolve(reference, HOST)
    again = Bases(store, unreachable, events.append, pull=False).resolve(reference, HOST)
    assert again == found
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.cached
