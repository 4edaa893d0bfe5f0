"""Layers in number and of odd content: deep stacks, long names, and all that changes between one step and the next."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from tests.support.trees import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Program
    from tests.support.trees import Image

LAYERS = 500
LONGEST = 255


@pytest.fixture
def usual_limit_of_files() -> Iterator[None]:
    """What a login shell has on most machines."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("usual_limit_of_files")
def test_steps_have_the_limit_of_files_that_the_build_was_started_with(everywhere: Program, busybox_base: str) -> None:
    context = everywhere.context("limit", {"Dockerfile": f"FROM {busybox_base}\nRUN ulimit -Sn\n"})
    assert everywhere.build(context).output == ["1024"]


def _build(program: Program, text: str, *, root: Path | None = None) -> Image:
    archive = program.user.home / "image.tar"
    program.build(program.context("scale", {"Dockerfile": text}), "-o", f"type=oci,dest={archive}", root=root)
    return read_archive(archive)


@pytest.mark.usefixtures("usual_limit_of_files")
def test_image_of_five_hundred_layers(everywhere: Program, busybox_base: str) -> None:
    """Built, unpacked anew from the layers alone, and run on: what is lowest can still be seen, changed and hidden."""
    copies = "".join(f"COPY file /many/{number:03}\n" for number in range(LAYERS))
    context = everywhere.context("many", {"Dockerfile": f"FROM {busybox_base}\n{copies}", "file": "content"})
    archive = everywhere.user.home / "image.tar"
    layout = everywhere.user.home / "layout"
    everywhere.build(context, "-o", f"type=oci,dest={archive}")
    assert everywhere.user.run("sh", "-c", f"mkdir {layout} && tar -xf {archive} -C {layout}").returncode == 0
    text = """\
FROM base
RUN test $(ls /many | wc -l) = 500 && rm /many/000 && echo more >> /many/001 && rm -r /var && mkdir /var
RUN test $(ls /many | wc -l) = 499 && cat /many/001 /many/499
RUN --mount=from=base,source=/many,target=/mnt test $(ls /mnt | wc -l) = 500 && rm -r /many
COPY --from=base /many/250 /copied
RUN test ! -e /many && cat /copied
"""
    context = everywhere.context("upon", {"Dockerfile": text})
    store = everywhere.user.home / "another"
    words = ("--build-context", f"base=oci-layout://{layout}", "-o", f"type=oci,dest={archive}")
    everywhere.build(context, *words, root=store)
    image = read_archive(archive)
    assert len(image.layers) == 1 + LAYERS + 5
    assert image.layers[-5:-2] == (
        ("many", "many/.wh.000", "many/001", "var", "var/.wh..wh..opq"),
        (),
        (".wh.many",),
    )
    assert "many" not in image.tree


def test_names_as_long_as_they_can_be(everywhere: Program, busybox_base: str) -> None:
    """Changed and removed: the name of its whiteout is longer than a file's may be, and stands in the tar alone."""
    name = "n" * LONGEST
    text = f"""\
FROM {busybox_base}
RUN mkdir -p /d/{name} && echo one > /d/{name}/{name} && ln -s {name} /d/link
RUN echo two >> /d/{name}/{name}
RUN rm /d/{name}/{name} && touch /d/{name}/other
RUN rm -r /d
"""
    image = _build(everywhere, text)
    assert image.layers[1:] == (
        ("d", "d/link", f"d/{name}", f"d/{name}/{name}"),
        ("d", f"d/{name}", f"d/{name}/{name}"),
        ("d", f"d/{name}", f"d/{name}/.wh.{name}", f"d/{name}/other"),
        (".wh.d",),
    )


def test_whiteouts_and_opaque_directories_of_the_layer_below(everywhere: Program, busybox_base: str) -> None:
    text = f"""\
FROM {busybox_base}
RUN mkdir -p /d/e /f && touch /d/e/1 /d/2 /f/3
RUN rm /d/2 && rm -r /d/e && mkdir /d/e && touch /d/e/new
RUN touch /d/2 && rm -r /f
RUN mkdir /f && touch /f/again && rm -r /d && mkdir /d
"""
    image = _build(everywhere, text)
    assert image.layers[2:] == (
        ("d", "d/.wh.2", "d/e", "d/e/.wh..wh..opq", "d/e/new"),
        ("d", "d/2", ".wh.f"),
        ("d", "d/.wh..wh..opq", "f", "f/again"),
    )
    assert {path for path in image.tree if path.startswith(("d", "f")) and not path.startswith("dev")} == {
        "d",
        "f",
        "f/again",
    }


def test_renamed_directories(everywhere: Program, busybox_base: str) -> None:
    """Of the layer below, of the same step, into another, and one put in the place of another."""
    text = f"""\
FROM {busybox_base}
RUN mkdir -p /a/b/c /x && echo deep > /a/b/c/file && touch /x/y
RUN mv /a /z && mv /z/b /x/b && mkdir /made && mv /made /x/made
RUN rm -r /z && mv /x /z && mkdir /x && cat /z/b/c/file
"""
    image = _build(everywhere, text)
    assert image.layers[2] == (".wh.a", "x", "x/b", "x/b/c", "x/b/c/file", "x/made", "z")
    own = {path for path in image.tree if path.split("/")[0] in ("a", "x", "z", "made")}
    assert own == {"x", "z", "z/b", "z/b/c", "z/b/c/file", "z/made", "z/y"}


TYPES = {
    "file": "echo new > {0}",
    "directory": "mkdir {0} && touch {0}/in",
    "symlink": "ln -s /target {0}",
    "fifo": "mkfifo {0}",
}


def test_files_made_again_as_another_type(everywhere: Program, busybox_base: str) -> None:
    pairs = [(old, new) for old in TYPES for new in TYPES if old != new]
    before = " && ".join(TYPES[old].format(f"/{old}-{new}") for old, new in pairs)
    after = " && ".join(f"rm -r /{old}-{new} && {TYPES[new].format(f'/{old}-{new}')}" for old, new in pairs)
    image = _build(everywhere, f"FROM {busybox_base}\nRUN {before}\nRUN {after}\n")
    kinds = {"file": "-", "directory": "d", "symlink": "l", "fifo": "p"}
    for old, new in pairs:
        assert image.tree[f"{old}-{new}"].kind == kinds[new]
        assert (f"{old}-{new}/in" in image.tree) == (new == "directory")
    assert not [name for name in image.layers[-1] if ".wh." in name]


def test_names_of_one_file_across_copy_up(everywhere: Program, busybox_base: str) -> None:
    """A step that changes one of two names parts them, as overlayfs does for docker; the other is not in its layer."""
    text = f"""\
FROM {busybox_base}
RUN mkdir /d && echo 1 > /d/one && ln /d/one /d/two && ln /d/one /d/three
RUN echo 2 >> /d/one
RUN test "$(cat /d/two)" = 1 && chmod 600 /d/three && ln /d/two /d/four
RUN rm /d/two
"""
    image = _build(everywhere, text)
    assert image.layers[2:] == (
        ("d", "d/one"),
        ("d", "d/four", "d/three", "d/two"),
        ("d", "d/.wh.two"),
    )
    contents = {name: image.tree[f"d/{name}"] for name in ("one", "three", "four")}
    assert contents["one"].detail != contents["three"].detail
    assert (contents["one"].mode, contents["three"].mode, contents["four"].mode) == (0o644, 0o600, 0o644)


def test_special_files(everywhere: Program, busybox_base: str) -> None:
    """A FIFO is in the layer; a socket is in none, as with docker."""
    text = f"""\
FROM {busybox_base}
RUN mkfifo -m 640 /fifo && (nc -l -U /socket & sleep 0.3; test -S /socket || mkdir /no-socket)
RUN rm /fifo
"""
    image = _build(everywhere, text)
    assert "fifo" in image.layers[1]
    assert "socket" not in image.tree
    assert image.layers[2] == (".wh.fifo",)
