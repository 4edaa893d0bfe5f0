from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.sandbox import read_accounts, user_of_image

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def test_what_is_no_file_has_no_accounts(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    for name in ("directory", "fifo", "missing"):
        assert read_accounts(str(tmp_path / name), opened) == ""
    assert os.listdir("/proc/self/fd") == before


def test_users_come_from_the_files_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"root:x:0:0::/root:/bin/sh\napp:x:7:8:\xff:/home/app:/bin/sh\n")
    (tmp_path / "etc/group").mkdir()

    def within(path: str) -> int:
        return opened(f"{tmp_path}{path}")

    assert user_of_image("app", within) == (7, 8, [8], "/home/app")
    with pytest.raises(SandboxError, match="group 'staff': not in the image's /etc/group"):
        user_of_image("app:staff", within)
