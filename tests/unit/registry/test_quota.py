from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Reference
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.registry.quota import Quota
from tests.unit.registry.conftest import QUICK
from tests.unit.registry.images import put_image
from tests.unit.registry.scripts import reply

if TYPE_CHECKING:
    from demo.registry import Service
    from ocibuild.store import Store


@pytest.mark.parametrize(
    ("limit", "remaining", "said"),
    [
        ("100;w=21600", "10;w=21600", ["hub: 10 of 100 pulls in 6 hours are left; `ocibuild login` allows more"]),
        ("200", "3", ["hub: 3 of 200 pulls are left; `ocibuild login` allows more"]),
        ("100;w=21600", "11;w=21600", []),
        ("100;w=21600", "", []),
        ("many", "few", []),
        ("", "0", []),
    ],
    ids=["low", "without a window", "enough", "one header alone", "nonsense", "no limit"],
)
def test_few_pulls_left_are_told(limit: str, remaining: str, said: list[str]) -> None:
    told: list[str] = []
    Quota(told.append).note("hub", {"ratelimit-limit": limit, "ratelimit-remaining": remaining})
    assert told == said


def test_a_host_is_told_of_once(service: Service, store: Store) -> None:
    reference = Reference.parse(f"{service.address}/library/app:1")
    image = put_image(store)
    headers = {
        "Content_Type": image.media_type,
        "Docker_Content_Digest": image.digest,
        "RateLimit_Limit": "100;w=21600",
        "RateLimit_Remaining": "2;w=21600",
    }
    service.intercept = lambda handler: reply(handler, 200, store.blobs.read(image.digest), **headers)
    told: list[str] = []
    with Registry(RegistryConfig(), Credentials(), policy=QUICK, warn=told.append) as registry:
        registry.head(reference)
        registry.manifest(reference)
    assert len(told) == 1
