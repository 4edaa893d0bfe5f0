"""What takes room, and what pruning leaves of it, also beside builds."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

TEXT = """\
FROM {base}
RUN --mount=type=cache,target=/cache echo kept > /cache/file; echo {word} > /first
RUN echo {word} > /second
"""


def _context(program: Program, base: str, name: str, word: str) -> Path:
    return program.context(name, {"Dockerfile": TEXT.format(base=base, word=word)})


def _usage(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.check("du", "--format", "json").splitlines()]


def _types(program: Program) -> list[str]:
    return sorted(item["Type"] for item in _usage(program))


def test_prune_leaves_what_images_have_and_all_of_it_is_built_again(ocibuild: Program, busybox_base: str) -> None:
    context = _context(ocibuild, busybox_base, "app", "one")
    ocibuild.build(context, "-t", "app")
    assert _types(ocibuild) == ["exec.cachemount", "layer", "regular", "regular"]
    assert {item["Description"] for item in _usage(ocibuild) if item["Type"] == "exec.cachemount"} == {"/cache"}
    removed = ocibuild.check("prune", "--format", "json")
    assert [json.loads(line)["Type"] for line in removed.splitlines()] == ["exec.cachemount"]
    assert ocibuild.build(context, "-t", "app").ran() == []
    ocibuild.check("prune", "--all")
    assert _usage(ocibuild) == []
    assert list((ocibuild.store / "snapshots").iterdir()) == []
    assert ocibuild.check("run", "app", "cat", "/second") == "one\n"
    assert len(ocibuild.build(context, "-t", "app").ran("RUN")) == 2


def test_results_that_no_image_has_go_with_their_blobs(ocibuild: Program, busybox_base: str) -> None:
    failing = ocibuild.context("app", {"Dockerfile": f"FROM {busybox_base}\nRUN echo x > /x\nRUN exit 3\n"})
    assert ocibuild.try_build(failing).status == 1
    assert _types(ocibuild) == ["layer", "regular"]
    ocibuild.check("prune")
    assert _types(ocibuild) == ["layer"]
    assert "RUN echo x > /x" in str(ocibuild.try_build(failing).ran())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--filter", "until=soon"), "--filter until=soon: not a span of time such as 24h, nor a time"),
        (("--filter", "type=x"), "--filter type=x: there are regular, layer, exec.cachemount, source.git.checkout"),
        (("--filter", "label=x"), "--filter label=x: not supported; there are until=, type= and id="),
        (("--keep-storage", "lots"), "--keep-storage lots: not a size"),
    ],
)
def test_wrong_usage_is_said(shared: Program, words: tuple[str, ...], message: str) -> None:
    result = shared.run("prune", *words)
    assert result.returncode == 2
    assert message in result.stderr


def test_filters_choose(ocibuild: Program, busybox_base: str) -> None:
    ocibuild.build(_context(ocibuild, busybox_base, "app", "one"), "-t", "app")
    assert ocibuild.check("prune", "--all", "--filter", "until=1h") == "Total: 0B\n"
    assert ocibuild.check("prune", "--all", "--keep-storage", "1GB") == "Total: 0B\n"
    assert "exec.cachemount" in ocibuild.check("prune", "--filter", "type=exec.cachemount")
    assert _types(ocibuild) == ["layer", "regular", "regular"]
    ocibuild.check("prune", "--all", "--filter", "until=0s")
    assert _types(ocibuild) == []


def test_a_build_keeps_no_more_than_is_allowed(ocibuild: Program, busybox_base: str) -> None:
    config = ocibuild.user.home / "config.toml"
    config.write_text('[store]\nkeep-storage = "0"\n')
    context = _context(ocibuild, busybox_base, "app", "one")
    ocibuild.check("--config", config, "build", "-q", "-t", "app", context)
    assert _usage(ocibuild) == []
    assert ocibuild.check("run", "app", "cat", "/first") == "one\n"


def test_builds_go_on_while_everything_else_is_pruned(ocibuild: Program, busybox_base: str) -> None:
    """Each build has what it found, or makes it again; what it made is whole."""
    over = threading.Event()
    said: list[str] = []

    def prune() -> None:
        while not over.is_set():
            result = ocibuild.run("prune", "--all")
            if result.returncode:
                said.append(result.stderr)

    def look() -> None:
        while not over.is_set():
            result = ocibuild.run("du")
            if result.returncode:
                said.append(result.stderr)

    beside = [threading.Thread(target=work) for work in (prune, prune, look)]
    for one in beside:
        one.start()
    try:
        contexts = [_context(ocibuild, busybox_base, f"app{number}", f"word{number}") for number in range(3)]
        for _ in range(4):
            running = [
                ocibuild.start("build", "-q", "-t", f"image{number}", str(context))
                for number, context in enumerate(contexts)
            ]
            for process in running:
                out, err = process.communicate()
                assert process.returncode == 0, (out, err)
    finally:
        over.set()
        for one in beside:
            one.join()
    assert said == []
    for number in range(3):
        ocibuild.check("validate", f"image{number}")
        assert ocibuild.check("run", f"image{number}", "cat", "/second") == f"word{number}\n"
