"""Steps whose own network pasta connects, and what is left of it: nothing."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeVar

import pytest

from ocibuild.errors import Interrupted, SandboxError
from ocibuild.executor import Connection
from ocibuild.graph import HOST_GATEWAY, ExtraHost
from ocibuild.sandbox import syscalls
from tests.support.lab import LONELY, Lab, become_user, in_child, lab, needs_busybox, needs_root, open_way
from tests.support.peers import require_peer
from tests.support.processes import processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Result = TypeVar("Result")
pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])
_TUN = os.makedev(10, 200)
_MACHINE = (ExtraHost("machine", HOST_GATEWAY),)


@pytest.fixture(autouse=True)
def _pasta() -> None:
    require_peer("pasta")


def _connected(folder: Path, work: Callable[[Lab], Result], *, uid: int | None = None, tun: int = 0o666) -> Result:
    """Do ``work`` in a lab whose /dev/net/tun is open to everybody, as udev has it, or has the mode ``tun``."""
    tun_device = folder / "tun"
    os.mknod(tun_device, stat.S_IFCHR, _TUN)
    tun_device.chmod(tun)
    store = folder / "lab"
    store.mkdir()
    open_way(store)
    if uid is not None:
        os.chown(store, uid, uid)

    def inside() -> Result:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount(str(tun_device), "/dev/net/tun", None, syscalls.MS_BIND)
        if uid is not None:
            become_user(uid)
        with lab(store / "store") as made:
            return work(made)

    return in_child(inside, uid=None)


class _Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"greeting\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _greeting() -> Iterator[int]:
    """Serve a greeting on the machine's loopback; yields the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Greeter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@users
def test_a_step_has_addresses_of_its_own_and_reaches_the_machine_where_it_asks(tmp_path: Path, uid: int | None) -> None:
    def work(made: Lab) -> tuple[str, str, str]:
        # nc gets an input that does not end: at its end it would close its half of the connection
        ask = "/bin/busybox mkfifo /fifo; exec 3<> /fifo; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3;"
        ask += f" /bin/busybox timeout 2 /bin/busybox nc {{}} {port} <&3 | tail -n 1"
        hosts = made.sh("grep machine /etc/hosts", connection=Connection.PASTA, extra_hosts=_MACHINE).out
        told = made.sh(ask.format(hosts.split()[0]), connection=Connection.PASTA, extra_hosts=_MACHINE).out
        untold = made.sh(ask.format("10.0.2.2"), connection=Connection.PASTA).out
        script = f"/bin/busybox ip -o -4 addr show; {ask.format('127.0.0.1')}"
        return told, untold, made.sh(script, connection=Connection.PASTA).out

    with _greeting() as port:
        told, untold, alone = _connected(tmp_path, work, uid=uid)
    assert told == "greeting\n"
    assert "greeting" not in untold
    assert "greeting" not in alone
    assert [line.split()[3] for line in alone.splitlines() if "inet" in line] == ["127.0.0.1/8", "10.0.2.100/24"]


@users
def test_names_are_resolved_by_a_resolver_on_the_machines_loopback(tmp_path: Path, uid: int | None) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.53\n")
    resolver.chmod(0o644)

    def work(made: Lab) -> str:
        syscalls.mount(str(resolver), "/etc/resolv.conf", None, syscalls.MS_BIND)
        return made.sh("cat /etc/resolv.conf; /bin/busybox nslookup name.example", connection=Connection.PASTA).out

    with _resolver("127.0.0.53"):
        said = _connected(tmp_path, work, uid=uid)
    assert said.startswith("nameserver 10.0.2.3\n")
    assert "Address: 198.51.100.9\n" in said


@contextmanager
def _resolver(address: str) -> Iterator[None]:
    """Answer every question for an address with 198.51.100.9."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        yield
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (address, 53))


def _answer(server: socket.socket) -> None:
    while True:
        question, client = server.recvfrom(512)
        if not question:
            return
        is_ipv4 = question[-4:-2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([198, 51, 100, 9]) if is_ipv4 else b""
        counts = b"\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + b"\0\0\0\0"
        server.sendto(question[:2] + b"\x81\x80" + counts + question[12:] + record, client)


def test_the_machines_other_resolvers_are_asked_as_they_are(tmp_path: Path) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.53\n")

    def work(made: Lab) -> str:
        syscalls.mount(str(resolver), "/etc/resolv.conf", None, syscalls.MS_BIND)
        return made.sh("cat /etc/resolv.conf", connection=Connection.PASTA).out

    assert _connected(tmp_path, work) == "nameserver 192.0.2.53\n"


@users
def test_nothing_of_pasta_is_left_when_the_step_ends_or_is_stopped(tmp_path: Path, uid: int | None) -> None:
    store = str(tmp_path / "lab")

    def work(made: Lab) -> tuple[list[int], list[int], list[int]]:
        made.sh("true", connection=Connection.PASTA)  # from now on a process waits for the next
        made.rest()
        before = len(os.listdir(f"/proc/{made.spawner._pid}/fd"))
        made.sh("sleep 100 & exit 3", connection=Connection.PASTA)
        ended = processes_with(store)
        timer = threading.Thread(target=_stop_when_running)
        made_executor.append(made)
        timer.start()
        with pytest.raises(Interrupted):
            made.sh("sleep 100", connection=Connection.PASTA)
        timer.join()
        wait_until(lambda: len(os.listdir(f"/proc/{made.spawner._pid}/fd")) == before)
        return seen, ended, processes_with(store)

    seen: list[int] = []
    made_executor: list[Lab] = []

    def _stop_when_running() -> None:
        while not seen:
            seen.extend(processes_with(store))
            time.sleep(0.02)
        made_executor[0].executor.stop()

    running, ended, stopped = _connected(tmp_path, work, uid=uid)
    assert running
    assert ended == stopped == []


def test_a_step_sees_nothing_of_pasta(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        return made.sh("ps; ls /proc/self/fd | wc -l", connection=Connection.PASTA).out

    said = _connected(tmp_path, work)
    assert "pasta" not in said
    assert said.splitlines()[-1] == "4"  # the standard streams, and the listing's own


def test_what_keeps_pasta_from_connecting_is_told(tmp_path: Path) -> None:
    def work(made: Lab) -> str:
        with pytest.raises(SandboxError) as caught:
            made.sh("true", connection=Connection.PASTA)
        return str(caught.value)

    said = _connected(tmp_path, work, uid=LONELY, tun=0o600)
    assert said.startswith("pasta cannot connect the step: ")
    assert "/dev/net/tun" in said
    assert len(said.splitlines()) == 1


def test_a_machine_without_pasta_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(made: Lab) -> str:
        with pytest.raises(SandboxError) as caught:
            made.sh("true", connection=Connection.PASTA)
        return str(caught.value)

    monkeypatch.setenv("PATH", str(tmp_path))
    said = _connected(tmp_path, work)
    assert said == "there is no pasta here to connect a step (install passt, or choose another --network)"
