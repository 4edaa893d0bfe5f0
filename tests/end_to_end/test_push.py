"""Pushes as a user sees them."""

from __future__ import annotations

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
