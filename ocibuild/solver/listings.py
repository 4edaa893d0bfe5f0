"""What COPYs take from build contexts, file by file: held until it is known whether anybody has to be told of it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.solver.operations.sources import context_digest
from ocibuild.source import listing
from ocibuild.source.listing import entries, from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ocibuild.graph import Copy, CopySource
    from ocibuild.oci import Digest
    from ocibuild.solver.workshop import Inputs
    from ocibuild.source import Listing


class Listings:
    """The files behind the digests of build contexts: this build's, and those of builds before; for threads."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._held: dict[str, tuple[list[str], list[bytes]]] = {}
        self._changing = threading.RLock()  # what is held becomes what was made
        self._made: dict[str, Listing] = {}  # what was asked for, in place of what it was made of

    def digest(self, vertex: Copy, source: CopySource) -> Digest:
        """Return the digest of what a COPY takes from a build context."""
        names: list[str] = []
        records: list[bytes] = []
        digest = context_digest(self._inputs, vertex, source, names=names, kept=records)
        self._held[digest] = (names, records)
        return digest

    def keep_only(self, digests: Collection[str]) -> None:
        """Let go of all but these."""
        self._held = {digest: held for digest, held in self._held.items() if digest in digests}
        self._made = {digest: made for digest, made in self._made.items() if digest in digests}

    def held(self) -> dict[str, Callable[[], Iterator[str]]]:
        """Return what makes the text of each listing that is still held, in pieces, by digest."""
        with self._changing:
            return {digest: partial(self._text, digest) for digest in (*self._held, *self._made)}

    def get(self, digest: str) -> Listing | None:
        """Return the files that a digest stands for, None where they are not known."""
        with self._changing:
            if digest in self._held or digest in self._made:
                return self._listing(digest)
        text = self._inputs.store.records.inputs.listing(digest)
        return from_text(text) if text is not None else None

    def _text(self, digest: str) -> Iterator[str]:
        with self._changing:
            made = self._made.get(digest)
            return to_text(entries(*self._held[digest]) if made is None else made.items())

    def _listing(self, digest: str) -> Listing:
        if digest not in self._made:
            self._made[digest] = listing(*self._held.pop(digest))
        return self._made[digest]
