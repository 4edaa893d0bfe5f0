"""What docker takes for ``--add-host``, ``--shm-size`` and ``--ulimit``, and what it refuses."""

from __future__ import annotations

import pytest

from ocibuild.errors import UsageError
from ocibuild.graph import (
    HOST_GATEWAY,
    UNLIMITED,
    ExtraHost,
    Ulimit,
    parse_extra_hosts,
    parse_shm_size,
    parse_ulimits,
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("db:192.0.2.7", ("db", "192.0.2.7")),
        ("db=192.0.2.7", ("db", "192.0.2.7")),
        ("db=[192.0.2.7]", ("db", "192.0.2.7")),
        ("db:2001:db8::7", ("db", "2001:db8::7")),
        ("db=2001:db8::7", ("db", "2001:db8::7")),
        ("db:[2001:db8::7]", ("db", "2001:db8::7")),
        ("db=::1", ("db", "::1")),
        ("host.docker.internal:host-gateway", ("host.docker.internal", HOST_GATEWAY)),
    ],
)
def test_hosts_are_read_as_docker_reads_them(text: str, host: tuple[str, str]) -> None:
    assert parse_extra_hosts([text, "b:192.0.2.8"]) == (ExtraHost(*host), ExtraHost("b", "192.0.2.8"))


@pytest.mark.parametrize(
    "text",
    [
        *("db", "", ":192.0.2.7", "=192.0.2.7", "db:", "db:192.0.2", "db:192.0.2.256", "a b:192.0.2.7"),
        *("a\nb:192.0.2.7", "db:fe80::1%eth0", "a#b:192.0.2.7", "a:b=192.0.2.7", "db:other", "db=[::1"),
        "db:Host-Gateway",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_extra_hosts([text])
    assert caught.value.message.startswith(f"--add-host {text}: ")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("1048576", 1 << 20), ("64m", 64 << 20), ("1G", 1 << 30), ("1.5gb", 3 << 29), ("2 KiB", 2048)),
        *(("8b", 8), ("0", None), (None, None)),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text: str | None, size: int | None) -> None:
    assert parse_shm_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "64x", "1e3", "9999999999g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shm-size"):
        parse_shm_size(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=1024", ("nofile", 1024, 1024)),
        ("nofile=1024:4096", ("nofile", 1024, 4096)),
        ("core=0:-1", ("core", 0, UNLIMITED)),
        ("memlock=-1:-1", ("memlock", UNLIMITED, UNLIMITED)),
        ("memlock=unlimited", ("memlock", UNLIMITED, UNLIMITED)),
    ],
)
def test_limits_are_read_as_docker_reads_them(text: str, limit: tuple[str, int, int]) -> None:
    assert parse_ulimits([text]) == (Ulimit(*limit),)


def test_the_last_limit_of_a_name_counts() -> None:
    limits = parse_ulimits(["nproc=5", "nofile=1", "core=0", "nofile=2"])
    assert limits == (Ulimit("core", 0, 0), Ulimit("nofile", 2, 2), Ulimit("nproc", 5, 5))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nofile", "not NAME=SOFT"),
        ("nofiles=1", "there is no limit 'nofiles'"),
        ("as=1", "there is no limit 'as'"),
        ("nofile=", "'' is no limit"),
        ("nofile=many", "'many' is no limit"),
        ("nofile=1:2:3", "'2:3' is no limit"),
        ("nofile=-2", "'-2' is no limit"),
        ("nofile=99999999999999999999", "is no limit"),
        ("nofile=2:1", "the soft limit is above the hard one"),
        ("nofile=-1:1", "the soft limit is above the hard one"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ulimits([text])
    assert caught.value.message.startswith(f"--ulimit {text}: ")
    assert part in caught.value.message
