"""Builds of several stages."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from demo.registry import serve
from tests.support.processes import processes_with

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


# each step leaves a sign in a directory that both see, and waits for the sign of the other
MEET = """\
FROM {base} AS one
RUN --mount=type=cache,id={id},target=/meet {wait} touch /meet/one && until test -e /meet/two; do sleep 0.05; done
FROM {base} AS two
RUN --mount=type=cache,id={id},target=/meet {wait} touch /meet/two && until test -e /meet/one; do sleep 0.05; done
FROM {base}
COPY --from=one /bin/sh /one
COPY --from=two /bin/sh /two
"""


def test_independent_stages_run_at_the_same_time(ocibuild: Program, busybox_base: str) -> None:
    text = MEET.format(base=busybox_base, id=secrets.token_hex(8), wait="")
    ocibuild.build(ocibuild.context("parallel", {"Dockerfile": text}), "--jobs", "2")


def test_with_one_job_one_step_runs_at_a_time(ocibuild: Program, busybox_base: str) -> None:
    alone = "touch /alone/busy && sleep 0.5 && rm /alone/busy"
    steps = "".join(
        f"FROM {busybox_base} AS s{n}\nRUN --mount=type=cache,target=/alone : {n}; test ! -e /alone/busy && {alone}\n"
        for n in range(4)
    )
    copies = "".join(f"COPY --from=s{n} /bin/sh /{n}\n" for n in range(4))
    context = ocibuild.context("alone", {"Dockerfile": f"{steps}FROM {busybox_base}\n{copies}"})
    assert len(ocibuild.build(context, "--jobs", "1").ran("RUN")) == 4
    assert ocibuild.try_build(context, "--jobs", "4", "--no-cache").status == 1


def test_equal_stages_are_built_once(ocibuild: Program, busybox_base: str) -> None:
    """Under other names, written otherwise, and as a base and a source alike."""
    made = "RUN cat /proc/sys/kernel/random/uuid > /made"
    text = f"""\
FROM {busybox_base} AS one
{made}
FROM {busybox_base} as other
# the same, in other words
run   cat /proc/sys/kernel/random/uuid \\
> /made
FROM one
COPY --from=other /made /other
RUN --mount=from=other,target=/m cmp /made /other && cmp /made /m/made
"""
    built = ocibuild.build(ocibuild.context("equal", {"Dockerfile": text}))
    assert len(built.ran("uuid")) == 1


def test_a_stage_that_is_not_needed_is_not_even_looked_for(ocibuild: Program, busybox_base: str) -> None:
    with serve() as service:
        text = f"""\
FROM {service.address}/none/such:1 AS unused
RUN false
FROM {busybox_base} AS wanted
RUN echo wanted
FROM wanted AS beside
COPY --from=unused /none /none
COPY --from={service.address}/none/such:2 /none /none
RUN --mount=from={service.address}/none/such:3,target=/m false
FROM wanted
RUN echo last
FROM beside AS after
"""
        context = ocibuild.context("unused", {"Dockerfile": text})
        assert ocibuild.build(context, "--target", "3").output == ["wanted", "last"]
        assert ocibuild.build(context, "--target", "wanted").cached("RUN")
        assert service.seen == []
        failed = ocibuild.try_build(context)
        assert failed.status == 1
        assert service.seen


def test_a_step_that_fails_stops_the_others_and_what_was_done_stays(ocibuild: Program, busybox_base: str) -> None:
    mark = secrets.token_hex(8)
    text = f"""\
FROM {busybox_base} AS slow
RUN --mount=type=cache,id={mark},target=/meet echo the slow one && touch /meet/slow && sleep 3737
FROM {busybox_base} AS failing
RUN echo early > /early
RUN --mount=type=cache,id={mark},target=/meet until test -e /meet/slow; do sleep 0.05; done; echo the reason >&2; exit 9
FROM {busybox_base}
COPY --from=slow /bin/sh /slow
COPY --from=failing /early /early
"""
    context = ocibuild.context("failing", {"Dockerfile": text})
    failed = ocibuild.try_build(context, "--jobs", "2")
    assert failed.status == 1
    assert not processes_with("sleep\x003737")
    (error,) = failed.errors
    assert error.endswith("did not complete successfully: exit code: 9")
    shown = failed.stderr[failed.stderr.index(error) :]
    assert "the reason" in shown
    assert "the slow one" not in shown
    (context / "Dockerfile").write_text(text.replace("exit 9", "true").replace(" && sleep 3737", ""))
    again = ocibuild.build(context, "--jobs", "2")
    assert again.cached("early > /early") == ["[failing 2/3] RUN echo early > /early"]


def test_the_output_of_a_step_that_failed_is_shown_where_no_other_is(ocibuild: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN echo before\nRUN echo the reason >&2; exit 9\n"
    failed = ocibuild.try_build(ocibuild.context("quiet", {"Dockerfile": text}), "-q")
    assert failed.status == 1
    assert "the reason" in failed.stderr
    assert "before" not in failed.stderr.replace("RUN echo before", "")
