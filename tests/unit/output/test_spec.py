from __future__ import annotations

import pytest

from ocibuild.errors import OcibuildError, UsageError
from ocibuild.oci import Reference
from ocibuild.output import Kind, OutputSpec, parse_output

_NAMES = (Reference.parse("one"), Reference.parse("host.example/two:3"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=oci,dest=out.tar", OutputSpec(Kind.OCI, dest="out.tar")),
        ("type=oci,dest=-", OutputSpec(Kind.OCI, dest="-")),
        ("dest=out.tar,type=oci", OutputSpec(Kind.OCI, dest="out.tar")),
        ("type=oci,dest=a=b.tar", OutputSpec(Kind.OCI, dest="a=b.tar")),
        ("type=oci,dest=o,name=one;host.example/two:3", OutputSpec(Kind.OCI, dest="o", names=_NAMES)),
        (" Type = oci , Dest = out.tar ", OutputSpec(Kind.OCI, dest="out.tar")),
        ("type=image", OutputSpec(Kind.IMAGE)),
        ("type=image,name=one", OutputSpec(Kind.IMAGE, names=_NAMES[:1])),
        ("type=image,name=one,push=true", OutputSpec(Kind.IMAGE, names=_NAMES[:1], push=True)),
        ("type=image,push=1", OutputSpec(Kind.IMAGE, push=True)),
        ("type=image,push=False", OutputSpec(Kind.IMAGE)),
        ("type=registry", OutputSpec(Kind.REGISTRY, push=True)),
        ("type=registry,name=one", OutputSpec(Kind.REGISTRY, names=_NAMES[:1], push=True)),
    ],
)
def test_output_is_understood(text: str, expected: OutputSpec) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder", "type=local is not supported yet"),
        ("", "type=local is not supported yet"),
        ("type=local,dest=folder", "type=local is not supported yet"),
        ("type=tar,dest=file", "type=tar is not supported yet"),
        ("type=docker", "type=docker is not supported yet"),
        ("type=zip", "unknown type 'zip' (there are image, oci, registry)"),
        ("dest=file", "unknown type ''"),
        ("type=oci", "dest= is missing"),
        ("type=oci,dest=", "dest= is missing"),
        ("type=oci,dest=f,compression=zstd", "compression= is not supported with type=oci"),
        ("type=image,dest=f", "dest= is not supported with type=image"),
        ("type=image,push=maybe", "push=maybe is neither true nor false"),
    ],
)
def test_output_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(text)
    assert str(caught.value).startswith(f"--output {text}: ")
    assert message in str(caught.value)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(OcibuildError, match="UPPER"):
        parse_output("type=image,name=UPPER")
