"""The caches that a build looks into, one after another; whatever is wrong with one is a warning."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ocibuild.cache.choice import place_of
from ocibuild.errors import Interrupted, NoSpace, OcibuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ocibuild.cache.place import Place
    from ocibuild.cache.spec import CacheFrom
    from ocibuild.oci import Digest, Platform
    from ocibuild.registry import Registry
    from ocibuild.rootfs.arrivals import BlobOrigin
    from ocibuild.store import LayerRecord, Store


class Caches:
    """What the solver finds beyond the store, see ``ocibuild.solver.Elsewhere``: the first cache that has a key counts.

    A cache that cannot be read is not asked again in this build.
    """

    def __init__(self, places: Sequence[Place], warn: Callable[[str], None]) -> None:
        self._places = list(places)
        self._warn = warn
        self._found: dict[Digest, tuple[Place, LayerRecord]] = {}
        self._forgotten: set[Digest] = set()
        self._asked: set[Place] = set()
        self._lock = threading.Lock()  # guards what is found and forgotten

    @classmethod
    def open(
        cls,
        specs: Sequence[CacheFrom],
        registry: Callable[[], Registry],
        store: Store,
        platforms: Sequence[Platform],
        warn: Callable[[str], None],
    ) -> Caches:
        """Return the caches that a build was given; nothing is asked yet."""
        return cls([place_of(spec, registry, store, platforms) for spec in specs], warn)

    def find(self, keys: Sequence[Digest]) -> Mapping[Digest, LayerRecord]:
        """See ``Elsewhere``."""
        for place in list(self._places):
            with self._lock:
                wanted = [key for key in keys if key not in self._found and key not in self._forgotten]
            if wanted:
                self._look_into(place, wanted)
        with self._lock:
            return {key: self._found[key][1] for key in keys if key in self._found}

    def origin_of(self, record: LayerRecord) -> BlobOrigin:
        """See ``Elsewhere``."""
        with self._lock:
            place, _ = self._found[record.key]
        return place.origin()

    def forget(self, keys: Iterable[Digest], problem: str) -> None:
        """See ``Elsewhere``."""
        with self._lock:
            self._forgotten.update(keys)
            for key in self._forgotten:
                self._found.pop(key, None)
        self._warn(f"a cache cannot give what it has, and steps run instead: {problem}")

    def _look_into(self, place: Place, keys: Sequence[Digest]) -> None:
        try:
            found = place.find(keys)
        except (Interrupted, NoSpace):
            raise
        except OcibuildError as error:
            self._places.remove(place)
            self._warn(f"the cache {place.subject} is not used: {error}")
            return
        with self._lock:
            self._found.update({key: (place, record) for key, record in found.items()})
            is_first = place not in self._asked
            self._asked.add(place)
        if is_first and not found:  # it may be that the name is wrong
            self._warn(f"the cache {place.subject} has nothing for this build")
