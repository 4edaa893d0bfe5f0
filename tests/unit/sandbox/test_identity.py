from __future__ import annotations

import os
import pwd
import shutil
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.sandbox import Identity, IDs, enter
from ocibuild.sandbox.identity import IDRange, id_map, subordinate_ranges
from ocibuild.sandbox.syscalls import PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, limit_capabilities, prctl
from tests.support.lab import LONELY, in_child, needs_root
from tests.support.peers import require_peer
from tests.support.setup_peers import ORDINARY_USER

if TYPE_CHECKING:
    from pathlib import Path

ALL_CAPABILITIES = (1 << 41) - 1
SYS_ADMIN, SETUID, SETFCAP = 21, 7, 31


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", []),
        ("app:100000:65536\n", [(100000, 65536)]),
        ("1000:100000:65536\n", [(100000, 65536)]),
        ("other:1:2\napp:10:20\napp:40:5\n", [(10, 20), (40, 5)]),
        ("app:100000\n", []),
        ("app:x:65536\napp:5:0\n", []),
        ("# app:1:2\n\n  app:7:8  \n", [(7, 8)]),
    ],
    ids=["empty", "by-name", "by-number", "several", "short", "no-numbers", "comments-and-blanks"],
)
def test_ranges_are_read_as_in_subuid(text: str, ranges: list[tuple[int, int]], tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text(text)
    found = subordinate_ranges(str(path), ("1000", "app"))
    assert [(row.outside, row.count) for row in found] == ranges


def test_file_that_is_missing_gives_no_range(tmp_path: Path) -> None:
    assert subordinate_ranges(str(tmp_path / "none"), ("app",)) == ()


def test_map_has_ourselves_first_and_no_gap() -> None:
    ranges = [IDRange(0, 100_000, 65_536), IDRange(0, 500_000, 10)]
    assert id_map(1000, ranges) == (
        IDRange(0, 1000, 1),
        IDRange(1, 100_000, 65_536),
        IDRange(65_537, 500_000, 10),
    )


def _entered() -> tuple[Identity, str, int]:
    identity = enter()
    with open("/proc/self/uid_map") as file:
        return identity, " ".join(file.read().split()), os.geteuid()


@needs_root
def test_root_keeps_the_ids_it_has() -> None:
    identity, _, uid = in_child(_entered)
    assert (identity.ids, uid) == (IDs.ALL, 0)


@needs_root
def test_user_without_a_range_has_one_id() -> None:
    assert in_child(_entered, uid=LONELY) == (Identity(IDs.ONE, 1), f"0 {LONELY} 1", 0)


@needs_root
def test_user_with_a_range_has_all_of_it() -> None:
    try:
        account = pwd.getpwnam(ORDINARY_USER)
    except KeyError:
        pytest.skip(f"there is no user {ORDINARY_USER}")
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap is not installed")
    identity, uid_map, uid = in_child(_entered, uid=account.pw_uid)
    assert identity.ids is IDs.RANGE
    assert identity.limit > 60_000
    assert uid_map.startswith(f"0 {account.pw_uid} 1 1 ")
    assert uid == 0


@needs_root
def test_user_whose_range_is_not_mapped_has_one_id_and_the_complaint() -> None:
    require_peer("newuidmap")

    def entered() -> tuple[Identity, str]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        identity, uid_map, _ = _entered()
        return identity, uid_map

    uid = pwd.getpwnam(ORDINARY_USER).pw_uid
    identity, uid_map = in_child(entered, uid=uid)
    assert (identity.ids, identity.limit, uid_map) == (IDs.ONE, 1, f"0 {uid} 1")
    assert "newuidmap: " in identity.complaint


def _without(*capabilities: int) -> object:
    kept = ALL_CAPABILITIES
    for number in capabilities:
        kept &= ~(1 << number)
        prctl(PR_CAPBSET_DROP, number)
    limit_capabilities(kept)
    try:
        return _entered()[0].ids
    except SandboxError as error:
        return str(error)


@needs_root
def test_root_without_sys_admin_gives_its_ids_to_a_user_namespace() -> None:
    assert in_child(lambda: _without(SYS_ADMIN)) is IDs.RANGE


@needs_root
def test_root_that_may_not_set_ids_has_one() -> None:
    assert in_child(lambda: _without(SYS_ADMIN, SETUID)) is IDs.ONE


@needs_root
def test_root_that_may_not_map_itself_gets_one_clear_line() -> None:
    message = in_child(lambda: _without(SYS_ADMIN, SETFCAP))
    assert message == (
        "this machine refuses to map an ID in a user namespace: /proc/self/uid_map: Operation not permitted"
        " (`ocibuild doctor` tells what to change)"
    )
