from __future__ import annotations

import pytest

from ocibuild.errors import OcibuildError, UsageError
from ocibuild.oci import Compression, Reference
from ocibuild.output import Encoding, Kind, OutputSpec, parse_output

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
        ("out", OutputSpec(Kind.LOCAL, dest="out", is_folder=True)),
        ("./out,1", OutputSpec(Kind.LOCAL, dest="./out,1", is_folder=True)),
        ("-", OutputSpec(Kind.TAR, dest="-")),
        ("type=local,dest=out", OutputSpec(Kind.LOCAL, dest="out", is_folder=True)),
        ("type=tar,dest=out.tar", OutputSpec(Kind.TAR, dest="out.tar")),
        ("type=docker,dest=f", OutputSpec(Kind.DOCKER, dest="f")),
        ("type=docker", OutputSpec(Kind.IMAGE)),
        ("type=cacheonly", OutputSpec(Kind.NOTHING)),
        ("type=oci,tar=false,dest=f", OutputSpec(Kind.OCI, dest="f", is_folder=True)),
        (
            "type=image,compression=uncompressed,force-compression=true",
            OutputSpec(Kind.IMAGE, encoding=Encoding(compression=Compression.NONE, force=True)),
        ),
        (
            "type=image,compression=zstd,compression-level=19",
            OutputSpec(Kind.IMAGE, encoding=Encoding(compression=Compression.ZSTD, level=19)),
        ),
        ("type=image,compression-level=9", OutputSpec(Kind.IMAGE, encoding=Encoding(level=9))),
        (
            "type=image,oci-mediatypes=false,rewrite-timestamp=true",
            OutputSpec(Kind.IMAGE, encoding=Encoding(is_oci=False, rewrites_times=True)),
        ),
        (
            'type=image,"annotation.A.b=x,y",annotation-manifest.c=d',
            OutputSpec(Kind.IMAGE, annotations={"A.b": "x,y", "c": "d"}),
        ),
    ],
)
def test_output_is_understood(text: str, expected: OutputSpec) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty list of fields"),
        ("type=zip", "unknown type 'zip' (there are image, registry, oci, docker, tar, local, cacheonly)"),
        ("dest=file", "unknown type ''"),
        ("type=oci", "dest= is missing"),
        ("type=oci,dest=", "dest= is missing"),
        ("type=oci,tar=false", "dest= is missing (add dest=FOLDER)"),
        ("type=oci,tar=false,dest=-", "a folder cannot be written to stdout"),
        ("type=oci,tar=perhaps,dest=f", "tar=perhaps is neither true nor false"),
        ("type=tar", "dest= is missing"),
        ("type=local", "dest= is missing (add dest=FOLDER)"),
        ("type=local,dest=f,compression=zstd", "compression= is not supported with type=local"),
        ("type=tar,dest=f,name=a", "name= is not supported with type=tar"),
        ("type=tar,dest=f,annotation.a=b", "annotation.a= is not supported with type=tar"),
        ("type=image,dest=f", "dest= is not supported with type=image"),
        ("type=image,push=maybe", "push=maybe is neither true nor false"),
        ("type=image,compression=estargz,oci-mediatypes=false", "eStargz has annotations of layers"),
        ("type=image,compression=estargz,compression-level=10", "compression-level=10 is not one of 0 to 9"),
        ("type=image,compression=lz4", "unknown compression 'lz4' (there are gzip, zstd, estargz, uncompressed)"),
        ("type=image,compression-level=10", "compression-level=10 is not one of 0 to 9"),
        ("type=image,compression=zstd,compression-level=23", "compression-level=23 is not one of 0 to 22"),
        ("type=image,compression=uncompressed,compression-level=1", "compression-level=1 is not one of 0 to 0"),
        ("type=image,compression-level=high", "compression-level=high is not one of 0 to 9"),
        ("type=image,annotation-index-descriptor.a=b", "annotation-index-descriptor.a= is not supported yet"),
        ("type=image,annotation[linux/amd64].a=b", "annotation[linux/amd64].a= is not supported yet"),
        ("type=image,annotation.=b", "annotation.= is not supported"),
        ("type=cacheonly,dest=f", "dest= is not supported with type=cacheonly"),
        ("type=oci,dest", "'dest' is not KEY=VALUE"),
        ('type=oci,dest="f', "a stray double quote"),
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
