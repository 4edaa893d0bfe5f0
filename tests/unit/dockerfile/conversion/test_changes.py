"""Instructions of ``--change``: what they make of run settings, and what is refused."""

from __future__ import annotations

import pytest

from ocibuild.dockerfile import changed_config
from ocibuild.errors import UsageError
from ocibuild.oci import Healthcheck, ImageConfig, Platform, RunConfig

BEFORE = RunConfig(
    env=("A=1",), cmd=("old",), labels={"a": "1"}, exposed_ports=("80/tcp",), on_build=("RUN x",), working_dir="/w"
)

CHANGES = {
    "CMD": (['CMD ["redis-server"]'], {"cmd": ("redis-server",)}),
    "CMD in shell form": (["CMD echo hi"], {"cmd": ("/bin/sh", "-c", "echo hi")}),
    "ENTRYPOINT takes the CMD of before away": (['ENTRYPOINT ["e"]'], {"entrypoint": ("e",), "cmd": None}),
    "ENTRYPOINT with a CMD": (['CMD ["c"]', 'ENTRYPOINT ["e"]'], {"entrypoint": ("e",), "cmd": ("c",)}),
    "ENV": (["ENV B=2 A=3", "ENV C=$B"], {"env": ("A=3", "B=2", "C=2")}),
    "ENV without a sign": (["ENV B 2"], {"env": ("A=1", "B=2")}),
    "ENV PATH": (["ENV PATH=/x"], {"env": ("A=1", "PATH=/x")}),
    "EXPOSE": (["EXPOSE 6379 53/udp"], {"exposed_ports": ("53/udp", "6379/tcp", "80/tcp")}),
    "LABEL": (['LABEL b="2 3"'], {"labels": {"a": "1", "b": "2 3"}}),
    "USER": (["user redis"], {"user": "redis"}),
    "VOLUME": (["VOLUME /data"], {"volumes": ("/data",)}),
    "WORKDIR": (["WORKDIR below"], {"working_dir": "/w/below"}),
    "STOPSIGNAL": (["STOPSIGNAL SIGINT"], {"stop_signal": "SIGINT"}),
    "ONBUILD": (["ONBUILD RUN y"], {"on_build": ("RUN x", "RUN y")}),
    "HEALTHCHECK": (["HEALTHCHECK NONE"], {"healthcheck": Healthcheck(("NONE",))}),
    "nothing": ([], {}),
}


@pytest.mark.parametrize(("changes", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_changes_what_it_says_and_nothing_else(changes: list[str], expected: dict[str, object]) -> None:
    after = changed_config(ImageConfig(Platform("linux", "amd64"), config=BEFORE), changes)
    for name in BEFORE.__slots__:
        if name != "args_escaped":
            assert getattr(after, name) == expected.get(name, getattr(BEFORE, name)), name


REFUSED = {
    "RUN": ("RUN true", "not one instruction that changes settings"),
    "COPY": ("COPY a /b", "not one instruction that changes settings"),
    "FROM": ("FROM scratch", "FROM is not allowed"),
    "two": ("ENV A=1\nENV B=2", "not one instruction that changes settings"),
    "nothing": ("", "not one instruction that changes settings"),
    "a comment": ("# x", "not one instruction that changes settings"),
    "an unknown word": ("SET x", "SET"),
    "a port that is none": ("EXPOSE x", "x"),
    "a LABEL without a sign": ("LABEL a", "must have two arguments"),
}


@pytest.mark.parametrize(("change", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_instruction_is_refused(change: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        changed_config(ImageConfig(Platform("linux", "amd64")), [change])
    assert str(error.value).startswith("--change")
    assert problem in str(error.value)
