from __future__ import annotations

import os

import pytest

from ocibuild.errors import InvalidDocument, InvalidPlatform
from ocibuild.oci import Platform


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/amd64", "windows/amd64"),
        ("plan10/unheard", "plan10/unheard"),
    ],
)
def test_a_platform_is_spelt_as_containerd_spells_it(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal
    assert Platform.parse(normal) == Platform.parse(text)


def test_what_is_not_named_comes_from_this_machine() -> None:
    host = Platform.host()
    assert Platform.parse("linux").architecture == host.architecture
    assert Platform.parse("s390x") == Platform(host.os, "s390x")
    assert Platform.parse("aarch64") == Platform(host.os, "arm64")


def test_the_host_is_a_platform_in_its_normal_form() -> None:
    host = Platform.host()
    assert host.os == os.uname().sysname.lower()
    assert Platform.parse(str(host)) == host


@pytest.mark.parametrize(
    "text",
    ["", "/", "linux/", "/amd64", "linux/arm/v7/x", "linux/am d64", "linux/*", "beos", "linux/amd64\n", "x" * 100],
    ids=repr,
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform):
        Platform.parse(text)


def test_a_platform_in_a_document_is_kept_as_it_is_spelt() -> None:
    document = {
        "architecture": "arm64",
        "os": "windows",
        "os.version": "10.0",
        "os.features": ["win32k"],
        "variant": "v8",
    }
    platform = Platform.from_json(document)
    assert platform == Platform("windows", "arm64", "v8", "10.0", ("win32k",))
    assert list(platform.to_json().items()) == list(document.items())


def test_empty_members_are_left_out() -> None:
    assert Platform.from_json(
        {"architecture": "amd64", "os": "linux", "variant": None, "os.features": None}
    ).to_json() == {
        "architecture": "amd64",
        "os": "linux",
    }


def test_a_platform_without_an_architecture_is_refused() -> None:
    with pytest.raises(InvalidDocument, match="architecture"):
        Platform.from_json({"os": "linux"})
