"""Networks, hosts, shared memory and limits, as a user asks for them."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer
from tests.support.processes import processes_with, wait_until

if TYPE_CHECKING:
    from tests.support.program import Program

_WAYS = ["--add-host", "db:192.0.2.7", "--add-host", "me=host-gateway", "--shm-size", "2m", "--ulimit", "nofile=64:65"]
_SCRIPT = "tail -n 2 /etc/hosts; df -k /dev/shm | tail -n 1 | awk '{print $2}'; ulimit -n; ulimit -Hn"
_SAID = ["192.0.2.7\tdb", "127.0.0.1\tme", "2048", "64", "65"]


@pytest.fixture(scope="module")
def image(shared: Program, busybox_base: str) -> str:
    context = shared.context("network", {"Dockerfile": f"FROM {busybox_base}\nRUN true\n"})
    shared.check("build", "-q", "-t", "network:1", context)
    return "network:1"


def test_build_and_run_give_what_they_are_told(shared: Program, image: str, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN {_SCRIPT}\n"
    assert shared.build(shared.context("given", {"Dockerfile": text}), *_WAYS).output == _SAID
    assert shared.check("run", *_WAYS, image, "sh", "-c", _SCRIPT).splitlines() == _SAID


def test_a_step_is_cached_wherever_a_host_is_and_not_without_it(shared: Program, busybox_base: str) -> None:
    context = shared.context("hosts", {"Dockerfile": f"FROM {busybox_base}\nRUN cat /etc/hosts\n"})
    assert shared.build(context, "--add-host", "db:192.0.2.7").ran("RUN")
    assert shared.build(context, "--add-host", "db:192.0.2.8").cached("RUN")
    assert shared.build(context, "--add-host", "cache:192.0.2.7").ran("RUN")
    assert shared.build(context, "--ulimit", "nofile=64").ran("RUN")
    assert shared.build(context, "--shm-size", "1m").ran("RUN")
    assert shared.build(context).ran("RUN")


def test_a_limit_that_cannot_be_had_fails_the_step_with_one_line(shared: Program, busybox_base: str) -> None:
    context = shared.context("limited", {"Dockerfile": f"FROM {busybox_base}\nRUN true\n"})
    built = shared.try_build(context, "--ulimit", f"nofile=10:{1 << 40}")
    assert built.status == 1
    (error,) = built.errors
    assert f"Dockerfile:2: ulimit nofile: the hard limit {1 << 40} is above that of ocibuild, " in error


def test_networks_of_the_build_and_of_a_step(shared: Program, busybox_base: str) -> None:
    mine = os.readlink("/proc/self/ns/net")
    text = f"FROM {busybox_base}\nRUN readlink /proc/self/ns/net\nRUN --network=host readlink /proc/self/ns/net\n"
    context = shared.context("networks", {"Dockerfile": text})
    refused = shared.try_build(context)
    assert "RUN --network=host is not allowed (allow it with --allow network.host)" in refused.stderr
    assert shared.build(context, "--allow", "network.host").output == [mine, mine]
    # a step whose network is another changes the same, which is nothing, and those after it would be cached
    assert shared.build(context, "--no-cache", "--network=host").output == [mine, mine]
    own, host = shared.build(context, "--no-cache", "--network=none", "--allow", "network.host").output
    assert (own == mine, host) == (False, mine)


def test_a_step_without_confinement_must_be_allowed(shared: Program, busybox_base: str) -> None:
    context = shared.context("insecure", {"Dockerfile": f"FROM {busybox_base}\nRUN --security=insecure true\n"})
    refused = shared.try_build(context)
    assert "RUN --security=insecure is not allowed (allow it with --allow security.insecure)" in refused.stderr
    assert shared.build(context, "--allow", "security.insecure").ran("RUN")


def test_pasta_is_no_network_of_a_dockerfile(shared: Program, busybox_base: str) -> None:
    context = shared.context("pasta", {"Dockerfile": f"FROM {busybox_base}\nRUN --network=pasta true\n"})
    assert "invalid network mode 'pasta'" in shared.try_build(context).stderr


def test_pasta_connects_the_steps_that_ask_for_nothing_else(shared: Program, busybox_base: str) -> None:
    _require_pasta(shared)
    addresses = "ip -o -4 addr show | awk '{print $4}'"
    text = f"FROM {busybox_base}\nRUN {addresses}\nRUN --network=none {addresses}\n"
    context = shared.context("pasta", {"Dockerfile": text})
    built = shared.build(context, "--network=pasta")
    assert built.output == ["127.0.0.1/8", "10.0.2.100/24", "127.0.0.1/8"]
    assert len(shared.build(context).cached("RUN")) == 2  # how a step is connected changes nothing of what it means


@pytest.mark.parametrize("command", ["run", "build"])
@pytest.mark.parametrize("end", ["interrupted", "killed"])
def test_nothing_of_pasta_outlives_its_builder(
    command: str, end: str, shared: Program, image: str, busybox_base: str
) -> None:
    _require_pasta(shared)
    if command == "run":
        words = ["run", "--network", "pasta", image, "sleep", "1000"]
    else:
        context = shared.context("pasta", {"Dockerfile": f"FROM {busybox_base}\nRUN --network=default sleep 1000\n"})
        words = ["build", "--network", "pasta", str(context)]
    process = shared.start(*words)
    mark = f"{shared.store}/scratch/"  # what pasta is told to connect is below
    wait_until(lambda: bool(processes_with(mark)))
    process.send_signal(signal.SIGKILL if end == "killed" else signal.SIGTERM)
    if end == "interrupted" and command == "run":  # the first is the step's, which does not listen
        wait_until(lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    wait_until(lambda: not processes_with(mark))


def _require_pasta(program: Program) -> None:
    """Skip where there is no pasta, or where the user may not use the device that it needs."""
    require_peer("pasta")
    asked = program.user.run("test", "-w", "/dev/net/tun")
    if asked.returncode:
        pytest.skip("left out: /dev/net/tun is closed to ordinary users")
