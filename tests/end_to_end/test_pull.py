"""Pulls as a user sees them."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from typing import TYPE_CHECKING

from demo.registry import serve
from ocibuild.oci import Reference
from ocibuild.registry import Credentials, Registry, RegistryConfig
from ocibuild.store import Store
from ocibuild.transfer import push
from tests.unit.registry.images import nothing, put_image

if TYPE_CHECKING:
    from pathlib import Path

    from demo.registry import Handler
    from tests.support.program import Program

_PATIENCE = 30  # seconds, for what takes one
_SIZE = 4 << 20


def _layer() -> bytes:
    """Return a tar of a small file and a large one."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in (("first", b"here"), ("last", hashlib.shake_128(b"last").digest(_SIZE))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return output.getvalue()


def _has_first(snapshots: Path) -> bool:
    return any((snapshots / number / "fs" / "first").exists() for number in os.listdir(snapshots))


def test_a_layer_is_unpacked_while_it_arrives(ocibuild: Program, tmp_path: Path) -> None:
    """The registry holds the second half back until the first file is there, or patience ends."""
    layer = _layer()
    seen: list[bool] = []

    def intercept(handler: Handler) -> bool:
        if handler.command != "GET" or hashlib.sha256(layer).hexdigest() not in handler.path:
            return False
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(layer))
        handler.wfile.write(layer[: _SIZE // 2])
        handler.wfile.flush()
        until = time.monotonic() + _PATIENCE / 2
        while not (found := _has_first(ocibuild.store / "snapshots")) and time.monotonic() < until:
            time.sleep(0.02)
        seen.append(found)
        handler.wfile.write(layer[_SIZE // 2 :])
        return True

    with serve() as service, Store.open(str(tmp_path / "store")) as store:
        reference = Reference.parse(f"{service.address}/team/app:1")
        with Registry(RegistryConfig(), Credentials()) as registry:
            push(registry, store, put_image(store, [layer]), [reference], progress=nothing)
        service.intercept = intercept
        ocibuild.check("pull", "-q", str(reference))
    assert seen == [True]
