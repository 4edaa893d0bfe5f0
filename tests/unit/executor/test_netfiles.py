"""What a step reads of names, for each network that it may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.executor import Connection
from ocibuild.executor.netfiles import asks_pasta, hosts_file, resolv_conf
from ocibuild.graph import HOST_GATEWAY, ExtraHost

if TYPE_CHECKING:
    from pathlib import Path

_OWN = "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@pytest.mark.parametrize(
    ("connection", "machine"),
    [(Connection.MACHINE, "127.0.0.1"), (Connection.NONE, "127.0.0.1"), (Connection.PASTA, "10.0.2.2")],
)
def test_hosts_are_loopback_then_what_was_added(connection: Connection, machine: str) -> None:
    hosts = [ExtraHost("db", "2001:db8::7"), ExtraHost("machine", HOST_GATEWAY)]
    assert hosts_file("box", hosts, connection).decode() == f"{_OWN}2001:db8::7\tdb\n{machine}\tmachine\n"


_LINES = "search a.example\nnameserver 127.0.0.53\n  nameserver ::1\n# nameserver 127.0.0.1\nnameserver 192.0.2.53\n"


@pytest.mark.parametrize(
    ("connection", "text", "expected"),
    [
        (Connection.MACHINE, _LINES, _LINES),
        (Connection.NONE, _LINES, "search a.example\n# nameserver 127.0.0.1\nnameserver 192.0.2.53\n"),
        (Connection.PASTA, _LINES, "search a.example\n# nameserver 127.0.0.1\nnameserver 192.0.2.53\n"),
        (Connection.NONE, "nameserver 127.0.0.1\noptions edns0\n", "options edns0\n"),
        (Connection.PASTA, "nameserver 127.0.0.1\noptions edns0\n", "options edns0\nnameserver 10.0.2.3\n"),
        (Connection.PASTA, "nameserver fe80::1%eth0\nnameserver\n", "nameserver fe80::1%eth0\nnameserver\n"),
        (Connection.PASTA, "nameserver ::1", "nameserver 10.0.2.3\n"),
    ],
    ids=["machine", "none", "pasta", "none-is-left", "none-is-left-for-pasta", "odd-lines", "no-line-end"],
)
def test_resolvers_on_loopback_are_for_the_machine_alone(
    connection: Connection, text: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    found = resolv_conf(connection, str(path))
    assert found.decode() == expected
    assert asks_pasta(found) == ("10.0.2.3" in expected)


def test_a_machine_may_have_none_or_one_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "real").write_text("nameserver 192.0.2.53\n")
    (tmp_path / "link").symlink_to("real")
    for name in ("missing", "dangling", ""):
        for connection in Connection:
            assert resolv_conf(connection, str(tmp_path / name)) == b""
    assert resolv_conf(Connection.NONE, str(tmp_path / "link")) == b"nameserver 192.0.2.53\n"
