"""Builds of several stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.program import Program

THREE = """\
ARG BASE
FROM ${BASE} AS builder
RUN echo "from builder" > /result
FROM ${BASE} AS tester
COPY --from=builder /result /work/result
RUN echo "from tester" >> /work/result
FROM ${BASE}
COPY --from=tester /work/result /final
RUN cat /final
"""


def test_file_passes_through_three_stages(ocibuild: Program, busybox_base: str) -> None:
    context = ocibuild.context("three", {"Dockerfile": THREE})
    words = ("--build-arg", f"BASE={busybox_base}")
    built = ocibuild.build(context, *words, "-t", "three")
    assert built.output[-2:] == ["from builder", "from tester"]
    assert ocibuild.check("run", "three", "cat", "/final") == "from builder\nfrom tester\n"
    target = ocibuild.build(context, *words, "--target", "tester", "-t", "two")
    assert not target.ran()
    assert ocibuild.check("run", "two", "cat", "/work/result") == "from builder\nfrom tester\n"


def test_what_gives_the_same_files_is_not_copied_again(ocibuild: Program, busybox_base: str) -> None:
    """A changed step before a COPY --from that takes the same bytes: the copy stays cached."""
    words = ("--build-arg", f"BASE={busybox_base}")
    ocibuild.build(ocibuild.context("early", {"Dockerfile": THREE}), *words)
    changed = THREE.replace('RUN echo "from builder" > /result', 'RUN echo "from builder" > /result && true')
    built = ocibuild.build(ocibuild.context("early", {"Dockerfile": changed}), *words)
    assert built.ran("RUN")[0] == '[builder 2/2] RUN echo "from builder" > /result && true'
    assert built.cached("COPY --from=builder") == ["[tester 2/3] COPY --from=builder /result /work/result"]


def test_independent_stages_run_at_the_same_time(ocibuild: Program, busybox_base: str) -> None:
    now = "sed 's/ .*//; s/[.]//' /proc/uptime"
    text = f"""\
FROM {busybox_base} AS one
RUN {now} > /begun && sleep 2 && {now} > /ended
FROM {busybox_base} AS two
RUN {now} > /begun && sleep 2.5 && {now} > /ended
FROM {busybox_base}
COPY --from=one /begun /ended /one/
COPY --from=two /begun /ended /two/
RUN test $(cat /one/begun) -lt $(cat /two/ended) && test $(cat /two/begun) -lt $(cat /one/ended)
"""
    ocibuild.build(ocibuild.context("parallel", {"Dockerfile": text}), "--jobs", "2")
