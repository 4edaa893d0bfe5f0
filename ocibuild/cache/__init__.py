"""Caches that travel: the layers of steps by cache key, in registries, layouts, and images themselves."""

from ocibuild.cache.choice import place_of
from ocibuild.cache.elsewhere import Caches
from ocibuild.cache.export import export
from ocibuild.cache.record import annotated
from ocibuild.cache.spec import CacheFrom, CacheTo, parse_cache_from, parse_cache_to

__all__ = ["CacheFrom", "CacheTo", "Caches", "annotated", "export", "parse_cache_from", "parse_cache_to", "place_of"]
