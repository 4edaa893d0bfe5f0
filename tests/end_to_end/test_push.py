"""Pushes as a user sees them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from demo.registry import serve

if TYPE_CHECKING:
    from tests.support.program import Program

_SECONDS = 20
_DOCKERFILE = """\
FROM {base}
RUN echo early > /early
RUN sleep {seconds}
"""


def test_a_layer_is_sent_while_a_later_step_still_runs(ocibuild: Program, busybox_base: str) -> None:
    context = ocibuild.context("early", {"Dockerfile": _DOCKERFILE.format(base=busybox_base, seconds=_SECONDS)})
    with serve() as service:
        process = ocibuild.start("build", "--push", "-t", f"{service.address}/team/app:1", context)
        until = time.monotonic() + _SECONDS
        while not service.requests("PUT", "/blobs/") and time.monotonic() < until:
            time.sleep(0.05)
        assert process.poll() is None, "the step still sleeps"
        assert service.requests("PUT", "/blobs/"), "and the layer before it is there"
        process.terminate()
        process.communicate()
    assert service.requests("PUT", "/manifests/") == [], "an image that is not built has no name"


_LARGE = 64 << 20
_ONE_LARGE_LAYER = """\
FROM {base}
RUN head -c {size} /dev/urandom > /large
"""


def test_a_large_layer_is_sent_while_it_is_packed(everywhere: Program, busybox_base: str) -> None:
    text = _ONE_LARGE_LAYER.format(base=busybox_base, size=_LARGE)
    context = everywhere.context("large", {"Dockerfile": text})
    with serve() as service:
        name = f"{service.address}/team/large:1"
        everywhere.build(context, "--push", "-t", name)
        (streamed,) = service.requests("PATCH")
        assert streamed.headers["Transfer-Encoding"] == "chunked"
        assert len(service.requests("PUT", "/blobs/")) == 3, "its one layer, that of the base, the config"
        assert "valid" in everywhere.check("validate", name)


def test_a_registry_takes_a_layer_that_comes_while_it_is_packed(
    everywhere: Program, busybox_base: str, registry: str
) -> None:
    """Debian's registry takes it as docker's, without a length; what was sent is held against what was built."""
    text = _ONE_LARGE_LAYER.format(base=busybox_base, size=_LARGE)
    context, name = everywhere.context("large", {"Dockerfile": text}), f"{registry}/push/{everywhere.user.account.name}"
    everywhere.build(context, "--push", "-t", name)
    other = everywhere.user.home / "other"
    everywhere.check("--root", other, "pull", name)
    here, there = (json.loads(everywhere.check(*root, "inspect", name))[0] for root in ((), ("--root", other)))
    assert here["RootFS"] == there["RootFS"]
    script = "sha256sum < /large"
    assert everywhere.check("run", "--rm", name, "sh", "-c", script) == everywhere.check(
        "--root", other, "run", "--rm", name, "sh", "-c", script
    )
