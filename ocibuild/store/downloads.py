"""What URLs gave before, so that the next request can ask whether it is still so: one small file each in ``web/``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from ocibuild.errors import InvalidDigest
from ocibuild.oci import Digest
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Download:
    """A file as a server gave it: the ``digest`` of its blob, and what the server said of it.

    ``etag`` and ``modified`` are the headers as they came, empty where they did not; ``settled`` where the second was
    old enough by then to tell this content from what comes after it.
    """

    digest: Digest
    etag: str = ""
    modified: str = ""
    settled: bool = False


class Downloads:
    """Downloads by name: a URL, or a digest of another algorithm than the store's.

    A name is kept as its digest alone, as a URL may hold a secret. A file appears by rename, so a killed process leaves
    the old one or the new one; one that is damaged counts as missing.
    """

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "web")

    def get(self, name: str) -> Download | None:
        """Return what is known of ``name``; its blob may be gone by now."""
        try:
            with open(self._path(name), encoding="utf-8") as file:
                return _download(json.load(file))
        except (FileNotFoundError, InvalidDigest, ValueError, TypeError, KeyError):
            return None

    def put(self, name: str, download: Download) -> None:
        """Remember what ``name`` gave, in place of what was known before."""
        os.makedirs(self._folder, exist_ok=True)
        path = self._path(name)
        temporary = f"{path}.{os.urandom(4).hex()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(asdict(download), file)
        os.rename(temporary, path)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, Digest.of(name.encode("utf-8", "surrogateescape")).encoded)


def _download(value: dict[str, Any]) -> Download:
    return Download(Digest.parse(value["digest"]), str(value["etag"]), str(value["modified"]), bool(value["settled"]))
