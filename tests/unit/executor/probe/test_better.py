from __future__ import annotations

import pytest

from ocibuild.executor import Facts, Row, choose
from ocibuild.executor.probe.better import Better, next_better
from ocibuild.sandbox import IDs

BARE = Facts(chroot=True, mknod=True, chown=True)
TABLE: dict[str, tuple[Facts, dict[str, str], Better | None]] = {
    "nothing-is-better": (Facts(ids=IDs.ALL, step=True, overlay=True), {"reflink": "use XFS", "proot": "get it"}, None),
    "overlay": (Facts(ids=IDs.ALL, step=True), {"overlay": "a volume"}, Better(Row.ROOT, "a volume")),
    "range": (Facts(ids=IDs.ONE, step=True, overlay=True), {"ids": "a line"}, Better(Row.RANGE, "a line")),
    "one-change-at-a-time": (
        Facts(ids=IDs.ONE, step=True), {"ids": "a line", "overlay": "a volume"}, Better(Row.ONE_ID, "a volume"),
    ),
    "proot-for-root": (BARE, {"proot": "get it", "user-namespace": "allow it"}, Better(Row.ROOT_PROOT, "get it")),
    "namespaces-for-root": (
        Facts(chown=True, proot=True), {"user-namespace": "allow it", "mount": "see user-namespace"},
        Better(Row.RANGE, "allow it"),
    ),
    "proc-for-root": (Facts(ids=IDs.ALL, chown=True, proot=True), {"proc": "unmask"}, Better(Row.ROOT, "unmask")),
    "proc": (Facts(ids=IDs.ONE, proot=True), {"ids": "a line", "proc": "unmask"}, Better(Row.ONE_ID, "unmask")),
    "what-another-check-knows": (
        Facts(proot=True), {"ids": "chmod u+s", "mount": "see ids"}, Better(Row.ONE_ID, "chmod u+s"),
    ),
    "proot": (Facts(), {"proot": "get it", "user-namespace": "allow it"}, Better(Row.PROOT, "get it")),
    "no-ptrace": (
        Facts(), {"proot": "get it", "ptrace": "allow it", "user-namespace": "allow that"},
        Better(Row.ONE_ID, "allow that"),
    ),
    "nobody-knows": (Facts(proot=True), {"mount": ""}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_one_change_gives_the_next_better_row(name: str) -> None:
    facts, failed, expected = TABLE[name]
    assert next_better(choose(facts), facts, failed) == expected
