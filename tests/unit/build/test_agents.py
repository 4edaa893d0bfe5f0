from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ocibuild.build import SSHSpec, parse_ssh
from ocibuild.build.agents import Agents
from ocibuild.errors import SourceError
from tests.support.processes import processes_with

if TYPE_CHECKING:
    from pathlib import Path

needs_openssh = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="openssh-client is not installed")

PARSED = {
    "default": SSHSpec("default"),
    "": SSHSpec("default"),
    "work=": SSHSpec("work"),
    "work=/run/agent": SSHSpec("work", ("/run/agent",)),
    "work=a,b": SSHSpec("work", ("a", "b")),
    "=a": SSHSpec("default", ("a",)),
    "work=a=b": SSHSpec("work", ("a=b",)),
}


@pytest.mark.parametrize(("text", "expected"), PARSED.items(), ids=PARSED)
def test_agent_is_parsed(text: str, expected: SSHSpec) -> None:
    assert parse_ssh(text) == expected


def _key(path: Path, *options: str) -> str:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path), *options]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return str(path)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def _keys(agents: Agents, name: str) -> list[bytes]:
    """Ask an agent for its keys: SSH_AGENTC_REQUEST_IDENTITIES."""
    connect = agents(name)
    assert connect is not None
    with connect() as client:
        client.sendall(struct.pack(">IB", 1, 11))
        (size,) = struct.unpack(">I", client.recv(4, socket.MSG_WAITALL))
        answer = client.recv(size, socket.MSG_WAITALL)
    assert answer[0] == 12
    texts, at = [], 5
    while at < len(answer):
        (length,) = struct.unpack_from(">I", answer, at)
        texts.append(answer[at + 4 : at + 4 + length])
        at += 4 + length
    return texts[1::2]


def test_socket_is_connected_to_however_deep_it_lies(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with _listener(tmp_path / "socket"):
        (tmp_path / "socket").rename(deep / "socket")
        for spec, environ in (
            (SSHSpec("default"), {"SSH_AUTH_SOCK": str(deep / "socket")}),
            (SSHSpec("default", (str(deep / "socket"),)), {}),
        ):
            with Agents([spec], environ) as agents:
                connect = agents("default")
                assert connect is not None
                connect().close()
                assert agents("other") is None


def test_what_is_no_agent_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    with _listener(tmp_path / "socket"):
        sock, text = str(tmp_path / "socket"), str(tmp_path / "text")
        for specs, message in (
            ([SSHSpec("default")], "SSH agent default: SSH_AUTH_SOCK is not set"),
            ([SSHSpec("a", ("/none",))], "SSH agent a: /none: No such file or directory"),
            ([SSHSpec("a", (text,))], f"{text}: no private key"),
            ([SSHSpec("a", (sock, text))], f"SSH agent a: {sock} is a socket, which cannot be beside others"),
            ([SSHSpec("a", (sock, sock))], f"SSH agent a: {sock} is a socket, which cannot be beside others"),
            ([SSHSpec("a", (sock,))] * 2, "SSH agent a: given twice"),
            ([SSHSpec("a", (str(tmp_path),))], f"{tmp_path}: Is a directory"),
        ):
            with pytest.raises(SourceError) as caught:
                Agents(specs, {})
            assert caught.value.message == message


@needs_openssh
def test_keys_are_served_by_one_agent_that_ends_with_the_build(tmp_path: Path) -> None:
    paths = [_key(tmp_path / name) for name in ("one", "two", "other")]
    os.chmod(paths[0], 0o644)  # which ssh-add itself would refuse
    mark = str(tmp_path)
    environ = {**os.environ, "HOME": mark}
    specs = [SSHSpec("default", tuple(paths[:2])), SSHSpec("other", tuple(paths[2:]))]
    with Agents(specs, environ) as agents:
        assert not processes_with(mark)
        found: list[list[bytes]] = []
        threads = [threading.Thread(target=lambda: found.append(_keys(agents, "default"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[b"one", b"two"]] * 4
        assert len(_keys(agents, "other")) == 1
        assert processes_with(mark)
    deadline = time.monotonic() + 5
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_with(mark)


@needs_openssh
@pytest.mark.parametrize("options", [(), ("-m", "PEM"), ("-m", "PKCS8")], ids=["openssh", "pem", "pkcs8"])
def test_encrypted_key_is_refused_at_once(options: tuple[str, ...], tmp_path: Path) -> None:
    for name, passphrase in (("open", ""), ("closed", "a passphrase")):
        words = ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", passphrase, "-f", str(tmp_path / name), *options]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    Agents([SSHSpec("a", (str(tmp_path / "open"),))], {})
    with pytest.raises(SourceError) as caught:
        Agents([SSHSpec("a", (str(tmp_path / "closed"),))], {})
    assert caught.value.message == f"{tmp_path}/closed: the key is encrypted"
    assert "ssh-add" in (caught.value.remedy or "")


@needs_openssh
def test_damaged_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    with (
        Agents([SSHSpec("a", (str(path),))], os.environ) as agents,
        pytest.raises(SourceError, match="ssh-add does not take this key"),
    ):
        agents("a")


def test_missing_programs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with (
        Agents([SSHSpec("a", (str(path),))], {"PATH": str(tmp_path)}) as agents,
        pytest.raises(SourceError, match="ssh-agent is not on this machine") as caught,
    ):
        agents("a")
    assert caught.value.remedy == "install the package openssh-client"
