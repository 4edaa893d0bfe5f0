"""Builds and runs whose root file systems are copies, as on a machine where nothing can be mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.trees import read_archive

if TYPE_CHECKING:
    from tests.support.program import Program

PINNED = """\
FROM {base} AS first
RUN mkdir -p /made/a /made/b && echo 1 > /made/a/f && ln /made/a/f /made/b/g && ln -s f /made/a/l \\
 && chown 5:6 /made/b && chmod 4755 /made/a/f && touch -h -d @1000 /made/a/* /made/b/* /made/a /made/b /made
RUN rm -r /made/a && mkdir /made/a && echo 2 > /made/a/new && rm /made/b/g \\
 && touch -h -d @2000 /made/a/new /made/* /made
FROM first AS second
COPY --chown=7:8 file /made/copied
RUN --mount=from=first,source=/made,target=/mnt,rw echo thrown > /mnt/away && cat /mnt/a/new > /made/seen \\
 && touch -d @3000 /made/seen /made
FROM scratch
COPY --from=second /made /out/
"""


def test_the_same_steps_give_the_same_layers_to_the_byte(shared: Program, busybox_base: str) -> None:
    """Where they set their times themselves, of which the directories that COPY makes get none."""
    context = shared.context("pinned", {"Dockerfile": PINNED.format(base=busybox_base), "file": "copied\n"})
    found = []
    for snapshotter in ("overlay", "copy"):
        archive, root = shared.user.home / f"{snapshotter}.tar", shared.user.home / f"pinned-{snapshotter}"
        words = ("--snapshotter", snapshotter, "--target", "second", "-o", f"type=oci,dest={archive}")
        shared.build(context, *words, root=root)
        image = read_archive(archive)
        shared.build(context, "--snapshotter", snapshotter, "-o", f"type=oci,dest={archive}", root=root)
        found.append(
            (image.manifest["layers"][1:3], image.manifest["layers"][4:], image.tree, read_archive(archive).tree)
        )
    assert found[0] == found[1]


def test_what_a_container_changes_is_thrown_away(shared: Program, busybox_base: str) -> None:
    context = shared.context("contained", {"Dockerfile": f"FROM {busybox_base}\nRUN echo 1 > /file\n"})
    root = shared.user.home / "contained-store"
    shared.build(context, "-t", "contained", "--snapshotter", "copy", root=root)
    for _ in range(2):
        words = (
            "run",
            "--snapshotter",
            "copy",
            "contained",
            "sh",
            "-c",
            "cat /file && echo 2 > /file && test ! -e /new && touch /new",
        )
        done = shared.run("--root", root, *words)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert not list((root / "trees").iterdir())


def test_a_step_that_fails_leaves_no_tree(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN touch /first\nRUN touch /second && false\n"
    root = shared.user.home / "failing-store"
    context = shared.context("failing", {"Dockerfile": text})
    built = shared.try_build(context, "--snapshotter", "copy", root=root)
    assert built.status == 1
    assert not list((root / "trees").iterdir())
    context = shared.context("failing", {"Dockerfile": text.replace("&& false", "&& test -e /first")})
    again = shared.build(context, "--snapshotter", "copy", root=root)
    assert again.cached("RUN touch /first")
