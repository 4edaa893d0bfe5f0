from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from ocibuild.registry import Credentials, Registry, RegistryConfig, RetryPolicy
from ocibuild.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = RetryPolicy(attempts=4, first=0.01, factor=1, longest=0.01, connect_timeout=5, read_timeout=5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def other_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "other-store")) as opened:
        yield opened


@pytest.fixture
def service() -> Iterator[Service]:
    with serve() as running:
        yield running


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(RegistryConfig(), Credentials(), policy=QUICK) as client:
        yield client


@pytest.fixture
def noise() -> bytes:
    """Three megabytes that do not compress, the same each time."""
    return b"".join(hashlib.sha512(number.to_bytes(4)).digest() for number in range(3 << 14))
