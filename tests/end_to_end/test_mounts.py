"""RUN --mount: what a step sees for its own time, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import wait_until
from tests.support.trees import read_archive

if TYPE_CHECKING:
    from tests.support.program import Built, Program
    from tests.support.trees import Image

FILES: dict[str, str | bytes] = {
    "src/main": "main\n",
    "src/sub/part": "part\n",
    "src/ignored": "ignored\n",
    ".dockerignore": "**/ignored\n",
}


def _build(program: Program, text: str, *words: str, **files: str) -> tuple[Built, Image]:
    archive = program.user.home / "image.tar"
    context = program.context("mounts", {**FILES, **files, "Dockerfile": text})
    built = program.build(context, *words, "-o", f"type=oci,dest={archive}")
    return built, read_archive(archive)


# the instructions of a stage, and what its last step writes
STEPS: dict[str, tuple[str, list[str]]] = {
    "the context": ("RUN --mount=target=/in find /in -type f | grep -v Dockerfile | sort", [
        "/in/.dockerignore", "/in/src/main", "/in/src/sub/part",
    ]),
    "a part of the context": ("RUN --mount=target=/in,source=src find /in -type f | sort", [
        "/in/main", "/in/sub/part",
    ]),
    "a file of the context": ("RUN --mount=target=/in,source=src/main cat /in", ["main"]),
    "the working directory": ("WORKDIR /work\nRUN --mount=target=.,source=src cat main", ["main"]),
    "a stage": ("RUN --mount=from=other,source=/made,target=/in cat /in", ["made"]),
    "an image": ("RUN --mount=from=BASE,source=/etc,target=/in test -s /in/passwd && echo there", ["there"]),
    "written to": ("RUN --mount=target=/in,rw echo x > /in/src/main && cat /in/src/main", ["x"]),
    "memory": ("RUN --mount=type=tmpfs,target=/in,size=1m dd if=/dev/zero of=/in/f bs=4k 2>&- || wc -c < /in/f", [
        "1048576",
    ]),
    "another user": ("USER app\nRUN --mount=target=/in touch /in/x 2>&1 || cat /in/src/main", [
        "touch: /in/x: Read-only file system", "main",
    ]),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), STEPS.values(), ids=STEPS)
def test_step_sees(lines: str, expected: list[str], shared: Program, busybox_base: str) -> None:
    other = f"FROM {busybox_base} AS other\nRUN echo made > /made\n"
    built, image = _build(shared, f"{other}FROM {busybox_base}\n{lines.replace('BASE', busybox_base)}\n")
    assert built.output == expected
    assert image.layers[-1] == ()


def test_step_runs_again_when_what_it_mounts_changes(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN --mount=target=/in,source=src cat /in/main\n"
    _build(shared, text)
    changes: list[dict[str, str]] = [{}, {"other": "x"}, {"src/ignored": "x"}, {"src/main": "new"}]
    for files in changes:
        built, _ = _build(shared, text, **files)
        assert bool(built.ran("RUN")) == ("src/main" in files)
    assert built.output == ["new"]


@pytest.mark.parametrize("source", ["src/none", "src/ignored", "../../etc/passwd"])
def test_missing_source_is_said_with_its_line(source: str, shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN --mount=target=/in,source={source} true\n"
    built = shared.try_build(shared.context("missing", {**FILES, "Dockerfile": text}))
    assert built.status == 1
    (error,) = built.errors
    assert "Dockerfile:2" in error
    assert os.path.basename(source) in error


HOSTILE = {
    "from=links,source=/up,target=/x": "does not exist there (a link is followed inside the tree only)",
    "from=links,source=/rel/SECRET,target=/x": "in the stage does not exist",
    "type=tmpfs,target=/to-proc": "nothing can be mounted at /proc/sys",
    "type=cache,target=/to-proc/kernel": "nothing can be mounted at /proc/sys/kernel",
    "type=secret,id=s,target=/to-proc/kernel/core_pattern": "nothing can be mounted at /proc/sys/kernel/core_pattern",
}


@pytest.mark.parametrize(("mount", "said"), HOSTILE.items(), ids=HOSTILE)
def test_hostile_links_lead_nowhere(mount: str, said: str, shared: Program, busybox_base: str) -> None:
    """Of a source: only into the source. Of a target: only into the image, and not into its /proc."""
    (secret := shared.user.home / "secret").write_text("secret")
    text = f"""\
FROM {busybox_base} AS links
RUN ln -s {secret} /up && ln -s ../../../../../.. /rel && ln -s /proc/sys /to-proc
FROM links
RUN --mount={mount.replace("/SECRET", str(secret))} cat /x /to-proc/kernel/core_pattern
"""
    built = shared.try_build(shared.context("evil", {"Dockerfile": text}), "--secret", f"id=s,src={secret}")
    assert built.status == 1
    assert built.output == []
    assert said in built.errors[0]


# -- caches


def test_cache_is_kept_from_build_to_build(ocibuild: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nARG n\nRUN --mount=type=cache,target=/c,id=x echo $n >> /c/all && cat /c/all\n"
    for number, expected in enumerate((["0"], ["0", "1"], ["0", "1", "2"])):
        built, image = _build(ocibuild, text, "--build-arg", f"n={number}")
        assert built.output == expected
        assert image.layers[-1] == ()
    assert ocibuild.run("validate", built.image_id).returncode == 0


def test_cache_begins_with_a_copy_that_is_its_own(shared: Program, busybox_base: str) -> None:
    step = "RUN --mount=type=cache,target=/c,id=copied,from=first,source=/seed"
    text = f"""\
FROM {busybox_base} AS first
RUN mkdir -m 750 /seed && echo seed > /seed/file && ln /seed/file /seed/same && chown 1000:1000 /seed/file
FROM {busybox_base}
{step} stat -c '%a %u:%g %h' /c /c/file && echo more >> /c/same && rm /c/same
{step} ls /c && cat /c/file
RUN --mount=from=first,source=/seed,target=/m ls /m && cat /m/file
"""
    built, _ = _build(shared, text)
    assert built.output == ["750 0:0 2", "644 1000:1000 2", "file", "seed", "more", "file", "same", "seed"]


def test_locked_cache_is_waited_for_by_other_builds_and_an_interrupt_ends_that(
    ocibuild: Program, busybox_base: str
) -> None:
    text = "FROM {}\nRUN --mount=type=cache,target=/c,id=x,sharing=locked {}\n"
    ocibuild.build(ocibuild.context("base", {"Dockerfile": f"FROM {busybox_base}\n"}))
    first = ocibuild.start("build", ocibuild.context("a", {"Dockerfile": text.format(busybox_base, "sleep 1000")}))
    try:
        wait_until(lambda: any((ocibuild.store / "caches").glob("*/content")))
        waiting = ocibuild.start(
            "build", "--progress", "plain", ocibuild.context("b", {"Dockerfile": text.format(busybox_base, "true")})
        )
        time.sleep(1.5)
        assert waiting.poll() is None
        os.killpg(waiting.pid, signal.SIGINT)
        begun = time.monotonic()
        output, _ = waiting.communicate(timeout=30)
        assert time.monotonic() - begun < 5
        assert waiting.returncode == 130, output
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=30)
    ocibuild.build(ocibuild.context("b", {"Dockerfile": text.format(busybox_base, "true")}))


def test_store_survives_sigkill_while_a_cache_is_filled(ocibuild: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base} AS seed
RUN mkdir /seed && for n in $(seq 3000); do echo $n > /seed/$n; done
FROM {busybox_base}
RUN --mount=type=cache,target=/c,id=ID,from=seed,source=/seed ls /c | wc -l
"""
    ocibuild.build(ocibuild.context("seed", {"Dockerfile": text}), "--target", "seed")
    caches = ocibuild.store / "caches"
    for number in range(3):
        context = ocibuild.context("filled", {"Dockerfile": text.replace("ID", f"killed{number}")})
        process = ocibuild.start("build", context)
        wait_until(lambda: any(caches.glob("new-*")))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        assert ocibuild.build(context).output == ["3000"]
        assert not list(caches.glob("new-*"))
        assert not list((ocibuild.store / "snapshots").glob("*/scratch"))


# -- what a Dockerfile may ask for


def test_insecure_step_wants_to_be_allowed(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN --security=insecure mkdir /m && mount -t tmpfs none /m && echo mounted\n"
    context = shared.context("insecure", {"Dockerfile": text})
    built = shared.try_build(context)
    assert built.status == 1
    assert "security.insecure" in built.errors[0]
    assert shared.build(context, "--allow", "security.insecure").output == ["mounted"]
    assert shared.try_build(context, "--allow", "everything").status == 2
