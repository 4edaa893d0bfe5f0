from __future__ import annotations

from tests.unit.registry.conftest import noise, other_store, registry, service, store

__all__ = ["noise", "other_store", "registry", "service", "store"]
