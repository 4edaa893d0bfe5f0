from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocibuild.errors import InvalidDocument
from ocibuild.oci import DiffID, Digest, Healthcheck, History, ImageConfig, Platform, RunConfig
from tests.unit.oci.strategies import garbage

DIFF_ID = str(Digest.of(b"layer"))
MINIMAL: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
}
# What BuildKit writes, in our order.
FULL: dict[str, Any] = {
    "created": "2024-05-22T18:18:12.052034407Z",
    "author": "A. Nobody <nobody@example.com>",
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "config": {
        "User": "app:app",
        "ExposedPorts": {"443/tcp": {}, "80/tcp": {}},
        "Env": ["PATH=/usr/bin:/bin", "B=2", "A=1"],
        "Entrypoint": ["/entry", "-x"],
        "Cmd": ["serve"],
        "Volumes": {"/data": {}, "/log": {}},
        "WorkingDir": "/srv",
        "Labels": {"a": "1", "b": ""},
        "StopSignal": "SIGQUIT",
        "ArgsEscaped": True,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "curl -f http://localhost/"],
            "Interval": 30_000_000_000,
            "Timeout": 5_000_000_000,
            "StartPeriod": 1_000_000_000,
            "StartInterval": 2_000_000_000,
            "Retries": 3,
        },
        "OnBuild": ["RUN make"],
        "Shell": ["/bin/bash", "-c"],
    },
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    "history": [
        {"created": "2024-05-22T18:18:12+02:00", "created_by": "COPY . /srv # buildkit", "comment": "buildkit"},
        {"created_by": 'CMD ["serve"] <é>', "author": "A. Nobody", "empty_layer": True},
    ],
}
# What an older docker writes: nulls everywhere, and members of its own.
DOCKER: dict[str, Any] = {
    "architecture": "amd64",
    "config": {
        "Hostname": "",
        "AttachStdin": False,
        "Env": None,
        "Cmd": ["sh"],
        "Image": "sha256:abc",
        "Volumes": None,
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
        "Healthcheck": None,
        "ExposedPorts": None,
        "Memory": 0,
    },
    "container": "0123",
    "container_config": {"Cmd": ["/bin/sh", "-c", '#(nop)  CMD ["sh"]'], "Env": None},
    "created": "2019-01-01T00:00:00Z",
    "docker_version": "18.06.1-ce",
    "moby.buildkit.buildinfo.v1": "e30=",
    "history": None,
    "os": "linux",
    "os.features": None,
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    "variant": None,
}


def text(document: Any, **members: Any) -> bytes:
    return json.dumps(document | members).encode()


def in_config(**members: Any) -> bytes:
    return text(MINIMAL, config=members)


def test_every_member_is_read() -> None:
    config = ImageConfig.from_bytes(text(FULL))
    assert config.platform == Platform("linux", "arm64", "v8")
    assert config.created == "2024-05-22T18:18:12.052034407Z"
    assert config.diff_ids == (DiffID(Digest.parse(DIFF_ID)),)
    assert config.config == RunConfig(
        user="app:app",
        exposed_ports=("443/tcp", "80/tcp"),
        env=("PATH=/usr/bin:/bin", "B=2", "A=1"),
        entrypoint=("/entry", "-x"),
        cmd=("serve",),
        volumes=("/data", "/log"),
        working_dir="/srv",
        labels={"a": "1", "b": ""},
        stop_signal="SIGQUIT",
        healthcheck=Healthcheck(("CMD-SHELL", "curl -f http://localhost/"), 30 * 10**9, 5 * 10**9, 10**9, 2 * 10**9, 3),
        shell=("/bin/bash", "-c"),
        on_build=("RUN make",),
        args_escaped=True,
    )
    assert config.history[1] == History(created_by='CMD ["serve"] <é>', author="A. Nobody", empty_layer=True)


@pytest.mark.parametrize("validated", [True, False])
def test_every_member_is_written_in_order(validated: bool) -> None:
    expected = json.dumps(FULL, separators=(",", ":"), ensure_ascii=False).encode()
    assert ImageConfig.from_bytes(text(FULL)).to_bytes(validated=validated) == expected


def test_the_nulls_and_the_further_members_that_docker_writes_are_dropped() -> None:
    config = ImageConfig.from_bytes(text(DOCKER))
    assert config == ImageConfig(
        Platform("linux", "amd64"),
        created="2019-01-01T00:00:00Z",
        config=RunConfig(cmd=("sh",)),
        diff_ids=(DiffID(Digest.parse(DIFF_ID)),),
    )
    assert json.loads(config.to_bytes()) == {
        **MINIMAL,
        "created": "2019-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"]},
    }


@pytest.mark.parametrize("config", [None, {}], ids=["null", "empty"])
def test_run_settings_may_be_missing(config: Any) -> None:
    assert ImageConfig.from_bytes(text(MINIMAL, config=config)).config == RunConfig()
    assert ImageConfig.from_bytes(text(MINIMAL)).config == RunConfig()


@pytest.mark.parametrize("rootfs", [{"type": "layers"}, {"type": "layers", "diff_ids": None}], ids=["absent", "null"])
def test_an_image_without_layers_may_leave_them_out(rootfs: Any) -> None:
    config = ImageConfig.from_bytes(text(MINIMAL, rootfs=rootfs))
    assert config.diff_ids == ()
    assert json.loads(config.to_bytes())["rootfs"] == {"type": "layers", "diff_ids": []}


def test_a_command_set_to_nothing_is_not_one_that_is_not_set() -> None:
    config = ImageConfig.from_bytes(in_config(Entrypoint=[], Cmd=None))
    assert (config.config.entrypoint, config.config.cmd) == ((), None)
    assert json.loads(config.to_bytes())["config"] == {"Entrypoint": []}


def test_a_health_check_that_is_switched_off_is_kept() -> None:
    config = ImageConfig.from_bytes(in_config(Healthcheck={"Test": ["NONE"], "Interval": None}))
    assert config.config.healthcheck == Healthcheck(("NONE",))
    assert json.loads(config.to_bytes())["config"] == {"Healthcheck": {"Test": ["NONE"]}}


def test_volumes_and_ports_of_null_are_still_there() -> None:
    config = ImageConfig.from_bytes(in_config(Volumes={"/data": None}, ExposedPorts={"80": None}))
    assert config.config.volumes == ("/data",)
    assert config.config.exposed_ports == ("80",)


def test_the_order_of_sets_does_not_change_the_bytes_but_that_of_the_environment_does() -> None:
    config = ImageConfig(Platform("linux", "amd64"), config=RunConfig(volumes=("/b", "/a"), labels={"b": "", "a": ""}))
    same = dataclasses.replace(config, config=RunConfig(volumes=("/a", "/b"), labels={"a": "", "b": ""}))
    assert config.to_bytes() == same.to_bytes()
    one = dataclasses.replace(config, config=RunConfig(env=("A=1", "B=2")))
    other = dataclasses.replace(config, config=RunConfig(env=("B=2", "A=1")))
    assert one.to_bytes() != other.to_bytes()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"not json", "config: not JSON"),
        (b"{}", "'architecture' is a required property"),
        (b'{"os": NaN}', "NaN"),
        (b'{"a":' * 5000, "config: "),
        (text(MINIMAL, os=None), "'os' is a required property"),
        (text(MINIMAL, os=5), "os: 5 is not of type 'string'"),
        (text(MINIMAL, rootfs=None), "'rootfs' is a required property"),
        (text(MINIMAL, rootfs=[]), r"rootfs: \[\] is not of type 'object'"),
        (text(MINIMAL, rootfs={"type": "tree", "diff_ids": []}), "rootfs.type: 'layers' was expected"),
        (text(MINIMAL, rootfs={"type": "layers", "diff_ids": ["x"]}), r"rootfs.diff_ids\[0\]: 'x' does not match"),
        (text(MINIMAL, rootfs={"type": "layers", "diff_ids": ["md5:ab"]}), "'md5' is not supported"),
        (text(MINIMAL, created="yesterday"), "created: 'yesterday' does not match"),
        (text(MINIMAL, history=[{"empty_layer": "yes"}]), r"history\[0\].empty_layer: 'yes'"),
        (text(MINIMAL, history={}), "history: {} is not of type"),
        (in_config(Env="A=1"), "config.Env: 'A=1' is not of type"),
        (in_config(Env=[1]), r"config.Env\[0\]: 1 is not of type 'string'"),
        (in_config(Cmd="sh"), "config.Cmd: 'sh'"),
        (in_config(Labels={"a": None}), "config.Labels.a: None is not of type 'string'"),
        (in_config(Volumes=["/data"]), "config.Volumes"),
        (in_config(Healthcheck={"Interval": 2**70}), "config.Healthcheck.Interval"),
        (in_config(Healthcheck={"Interval": 1e9}), "config.Healthcheck.Interval"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_config_is_refused_with_the_place_of_the_fault(document: bytes, message: str) -> None:
    with pytest.raises(InvalidDocument, match=message) as caught:
        ImageConfig.from_bytes(document)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("trusted", [False, True])
@settings(deadline=None)  # the first example imports jsonschema
@given(data=st.data())
def test_any_bytes_are_a_config_or_refused(trusted: bool, data: st.DataObject) -> None:
    document = data.draw(garbage(FULL) | garbage(DOCKER))
    try:
        config = ImageConfig.from_bytes(document, trusted=trusted)
    except InvalidDocument:
        return
    if not trusted:
        assert ImageConfig.from_bytes(config.to_bytes()).to_bytes() == config.to_bytes()


def test_a_config_that_makes_no_sense_does_not_leave() -> None:
    with pytest.raises(InvalidDocument, match="created"):
        ImageConfig(Platform("linux", "amd64"), created="now").to_bytes()
    with pytest.raises(InvalidDocument, match="not UTF-8"):
        ImageConfig(Platform("linux", "amd64"), config=RunConfig(env=("A=\udcff",))).to_bytes()
