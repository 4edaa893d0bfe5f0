from __future__ import annotations

from dataclasses import replace

import pytest

from ocibuild.executor import Facts, Forced, Row, choose
from ocibuild.sandbox import IDs

ALL = Facts(
    ids=IDs.ALL, step=True, overlay=True, chroot=True, mknod=True, chown=True, proot=True, notification=True
)  # fmt: skip
CONTAINER = replace(ALL, ids=None, step=False, overlay=False)
ORDINARY = replace(ALL, chroot=False, mknod=False, chown=False)
CONFINED = Facts(proot=True, notification=True)
NOTHING = Facts()
ONE = replace(ORDINARY, ids=IDs.ONE)


# what a choice is, in a row: row, executor, in namespaces, snapshotter, IDs, owners recorded
Expected = tuple[Row, str | None, bool, str | None, IDs | None, bool]
REFUSED: Expected = (Row.NONE, None, False, None, None, False)
TABLE: dict[str, tuple[Facts, Expected]] = {
    "root": (ALL, (Row.ROOT, "chroot", True, "overlay", IDs.ALL, False)),
    "range": (replace(ORDINARY, ids=IDs.RANGE), (Row.RANGE, "chroot", True, "overlay", IDs.RANGE, False)),
    "one": (ONE, (Row.ONE_ID, "chroot", True, "overlay", IDs.ONE, True)),
    "one-unrecorded": (replace(ONE, notification=False), (Row.ONE_ID, "chroot", True, "overlay", IDs.ONE, False)),
    "root-without-overlay": (replace(ALL, overlay=False), (Row.ROOT, "chroot", True, "copy", IDs.ALL, False)),
    "one-without-overlay": (replace(ONE, overlay=False), (Row.ONE_ID, "chroot", True, "copy", IDs.ONE, True)),
    "container": (CONTAINER, (Row.ROOT_PROOT, "proot", False, "copy", IDs.ONE, True)),
    "container-without-proot": (
        replace(CONTAINER, proot=False),
        (Row.ROOT_CHROOT, "chroot", False, "copy", IDs.ALL, False),
    ),
    "namespaces-without-steps": (replace(ALL, step=False), (Row.ROOT_PROOT, "proot", False, "copy", IDs.ONE, True)),
    "root-without-chown": (replace(CONTAINER, chown=False), (Row.PROOT, "proot", False, "copy", IDs.ONE, True)),
    "confined": (CONFINED, (Row.PROOT, "proot", False, "copy", IDs.ONE, True)),
    "confined-unrecorded": (Facts(proot=True), (Row.PROOT, "proot", False, "copy", IDs.ONE, False)),
    "root-without-mknod-or-proot": (replace(CONTAINER, mknod=False, proot=False), REFUSED),
    "root-without-chroot-or-proot": (replace(CONTAINER, chroot=False, proot=False), REFUSED),
    "nothing": (NOTHING, REFUSED),
}


@pytest.mark.parametrize("name", TABLE)
def test_facts_choose_a_row(name: str) -> None:
    facts, expected = TABLE[name]
    choice = choose(facts)
    assert (
        choice.row, choice.executor, choice.namespaces, choice.snapshotter, choice.ids, choice.owners_recorded
    ) == expected  # fmt: skip
    assert choice.why


FORCED: dict[str, tuple[Facts, Forced, tuple[Row, str | None]]] = {
    "proot-as-root": (ALL, Forced(executor="proot"), (Row.ROOT_PROOT, "copy")),
    "proot-as-a-user": (ONE, Forced(executor="proot"), (Row.PROOT, "copy")),
    "chroot-in-a-container": (CONTAINER, Forced(executor="chroot"), (Row.ROOT_CHROOT, "copy")),
    "chroot-where-all-works": (ALL, Forced(executor="chroot"), (Row.ROOT, "overlay")),
    "copy": (ALL, Forced(snapshotter="copy"), (Row.ROOT, "copy")),
    "overlay": (ALL, Forced(snapshotter="overlay"), (Row.ROOT, "overlay")),
    "chroot-where-only-proot": (CONFINED, Forced(executor="chroot"), (Row.NONE, None)),
    "proot-where-there-is-none": (replace(ALL, proot=False), Forced(executor="proot"), (Row.NONE, None)),
    "overlay-under-proot": (ALL, Forced("proot", "overlay"), (Row.NONE, None)),
    "overlay-where-refused": (replace(ALL, overlay=False), Forced(snapshotter="overlay"), (Row.NONE, None)),
}


@pytest.mark.parametrize("name", FORCED)
def test_what_is_forced_is_done_or_refused(name: str) -> None:
    facts, forced, expected = FORCED[name]
    choice = choose(facts, forced)
    assert (choice.row, choice.snapshotter) == expected
    flags = {f"--executor {forced.executor}", f"--snapshotter {forced.snapshotter}"}
    assert any(flag in choice.why for flag in flags)


def test_reason_names_the_overlay_that_is_missing() -> None:
    assert "an overlay is refused" in choose(replace(ALL, overlay=False)).why
    assert "overlay" not in choose(ALL).why
