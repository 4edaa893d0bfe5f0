from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SourceRange
from ocibuild.graph import (
    BindMount,
    CacheMount,
    Context,
    Copy,
    Image,
    Run,
    Scratch,
    SecretMount,
    Sharing,
    SSHMount,
    TmpfsMount,
)
from tests.unit.dockerfile.conversion.helpers import build, chain, labels, refused

if TYPE_CHECKING:
    from ocibuild.graph import Mount


def step(flags: str, before: str = "") -> Run:
    vertex = build(f"FROM a AS one\nRUN one\nFROM a\nWORKDIR /w\nENV E=dir\n{before}RUN {flags} x\n").vertex
    assert isinstance(vertex, Run)
    return vertex


def mount_of(fields: str) -> Mount:
    (mount,) = step(f"--mount={fields}").mounts
    return mount


MOUNTS = [
    ("type=tmpfs,target=/t", TmpfsMount("/t")),
    ("type=TMPFS,dst=t,size=1m", TmpfsMount("/w/t", 1 << 20)),
    ("type=tmpfs,target=/t/..//u/,ro,size=1.5KiB", TmpfsMount("/u", 1536, read_only=True)),
    ('type=tmpfs,target=/$E,"size=2 GB"', TmpfsMount("/dir", 2 << 30)),
    ("type=tmpfs,target=/t,size=0", TmpfsMount("/t", None)),
    ("type=tmpfs,target=/t,size=12b", TmpfsMount("/t", 12)),
    ("type=cache,target=/c", CacheMount("/c", "//c")),
    ("type=cache,target=c/", CacheMount("/w/c", "/c")),
    ("type=cache,target=/c,id=x,sharing=LOCKED,ro", CacheMount("/c", "/x", Sharing.LOCKED, read_only=True)),
    ("type=cache,target=/c,mode=700,uid=5,gid=6", CacheMount("/c", "//c", mode=0o700, uid=5, gid=6)),
    ("type=cache,target=/c,readonly=false,source=x", CacheMount("/c", "//c", path="/x")),
    ("type=cache,from=one,target=/c,uid=5", CacheMount("/c", "//c", uid=5)),
    ("type=secret,id=s", SecretMount("s", "/run/secrets/s")),
    ("type=secret,source=s,target=t", SecretMount("s", "/w/t")),
    ("type=secret,id=a/s,required", SecretMount("a/s", "/run/secrets/s", required=True)),
    ("type=secret,target=/x/s", SecretMount("s", "/x/s")),
    ("type=secret,id=s,env=V", SecretMount("s", None, "V")),
    ("type=secret,id=s,env=V,target=/t", SecretMount("s", "/t", "V")),
    ("type=secret,id=s,mode=0440,uid=1,gid=2,required=F", SecretMount("s", "/run/secrets/s", None, False, 0o440, 1, 2)),
    ("type=ssh", SSHMount("default", "/run/buildkit/ssh_agent.0")),
    ("type=ssh,id=k,target=/s,required=1,mode=0666", SSHMount("k", "/s", required=True, mode=0o666)),
]


@pytest.mark.parametrize(("fields", "expected"), MOUNTS, ids=[row[0] for row in MOUNTS])
def test_a_mount_means(fields: str, expected: Mount) -> None:
    found = mount_of(fields)
    assert type(found) is type(expected)
    for name in type(expected).__slots__:
        assert getattr(found, name) == getattr(expected, name), name


REFUSED = [
    ("", "an empty list of fields", None),
    ("type=bnd,target=/x", "unsupported mount type 'bnd'", "did you mean bind?"),
    ("type=volume", "unsupported mount type 'volume'", None),
    ("tarjet=/x", "unexpected key 'tarjet' in 'tarjet=/x'", "did you mean target?"),
    ("target", "invalid field 'target'", "did you mean target?"),
    ("type=tmpfs", "invalid mount target '/'", None),
    ("target=/", "invalid mount target '/'", None),
    ("type=cache,target=/x/..", "invalid mount target '/'", None),
    ("type=cache,target=/x,ro=yes", "invalid value for readonly", None),
    ("type=cache,target=/x,mode=u+x", "invalid value 'u+x' for mode", None),
    ("type=cache,target=/x,mode=8", "invalid value '8' for mode", None),
    ("type=cache,target=/x,uid=-1", "invalid value '-1' for uid", None),
    ("type=cache,target=/x,gid=4294967296", "invalid value '4294967296' for gid", None),
    ("type=cache,target=/x,sharing=mine", "unsupported sharing value 'mine'", None),
    ("type=bind,target=/x,sharing=shared", "sharing is not allowed for a mount of type 'bind'", None),
    ("target=/x,mode=755", "mode, uid and gid are not allowed for a mount of type 'bind'", None),
    ("type=tmpfs,target=/x,uid=5", "mode, uid and gid are not allowed for a mount of type 'tmpfs'", None),
    ("target=/x,required", "unexpected key 'required' for a mount of type 'bind'", None),
    ("required,type=secret,id=x", "unexpected key 'required' for a mount of type 'bind'", None),
    ("target=/x,size=1m", "unexpected key 'size' for a mount of type 'bind'", None),
    ("type=tmpfs,target=/x,size=big", "invalid value for size", None),
    ("type=tmpfs,target=/x,size=-1", "invalid value for size", None),
    ("type=tmpfs,target=/x,size=1mbb", "invalid value for size", None),
    ("type=tmpfs,target=/x,size=99999999999999p", "invalid value for size", None),
    ("type=secret", "an invalid secret mount", None),
    ("type=secret,id=a,source=b", "a secret mount cannot have both source and id", None),
    ("type=secret,id=a,from=one", "a secret mount should not have a from", None),
    ("type=secret,id=a,sharing=shared", "sharing is not allowed for a mount of type 'secret'", None),
    ("type=ssh,source=/x", "a mount of type 'ssh' has no source", None),
    ("from=$E,target=/x", "variables are not expanded in the from", None),
    ("from=own,target=/x", "cannot mount from stage 'own': it would mount itself", None),
    ("from=later,target=/x", "cannot mount from stage 'later', it needs to be defined before", None),
    ("from=x/UPPER,target=/x", "UPPER", None),
    ("target=${E:?no},source=${X:?no-X}", "X: no-X", None),
]


@pytest.mark.parametrize(("fields", "message", "remedy"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_mount_that_means_nothing_is_refused(fields: str, message: str, remedy: str | None) -> None:
    line = f"RUN --mount={fields} x"
    text = f"FROM a AS one\nFROM a AS own\nENV E=dir\n{line}\nFROM a AS later\n"
    error = refused(text, target="own")
    assert message in error.message
    assert error.remedy == remedy or remedy is None
    assert error.location == SourceRange("Dockerfile", 4, 4, (line,))


def test_a_part_of_the_context_is_copied_to_be_mounted() -> None:
    mount = mount_of("target=here,source=$E/../dir/a[1]")
    assert isinstance(mount, BindMount)
    assert (mount.target, mount.path, mount.read_only) == ("/w/here", "/part", True)
    assert isinstance(mount.source, Copy)
    assert isinstance(mount.source.base, Scratch)
    ((tree, paths, unpack),) = mount.source.sources
    assert isinstance(tree, Context)
    assert (paths, unpack, mount.source.destination) == (("dir/a\\[1\\]",), False, "/part")
    assert mount.source.origin.location == SourceRange(
        "Dockerfile", 6, 6, ("RUN --mount=target=here,source=$E/../dir/a[1] x",)
    )


def test_the_whole_context_is_mounted() -> None:
    mount = mount_of("target=/x,rw")
    assert isinstance(mount, BindMount)
    assert (mount.path, mount.read_only) == ("/part", False)
    assert isinstance(mount.source, Copy)
    assert (mount.source.sources[0].paths, mount.source.destination) == ((".",), "/part")


def test_stages_and_images_are_mounted_as_they_are() -> None:
    stage = mount_of("from=ONE,target=/x,source=/out,rw=false")
    assert isinstance(stage, BindMount)
    assert isinstance(stage.source, Run)
    assert (stage.path, stage.read_only) == ("/out", True)
    image = mount_of("from=0,target=/x")
    assert isinstance(image, BindMount)
    assert isinstance(image.source, Image)
    assert image.source.reference.path == "library/0"
    cache = mount_of("type=cache,from=one,source=c,target=/x,uid=4")
    assert isinstance(cache, CacheMount)
    assert isinstance(cache.source, Run)
    assert cache.path == "/c"


def test_mounts_keep_their_order_and_agents_are_counted() -> None:
    found = step(
        "--mount=type=ssh --mount=type=tmpfs,target=/b --mount=type=ssh,id=k --mount=type=tmpfs,target=/a"
    ).mounts
    assert [mount.target for mount in found] == ["/run/buildkit/ssh_agent.0", "/b", "/run/buildkit/ssh_agent.1", "/a"]


def test_a_stage_that_is_mounted_is_needed_and_one_with_mounts_is_named() -> None:
    target = build("FROM b AS one\nRUN one\nFROM a\nRUN --mount=from=one,target=/x two\n")
    assert isinstance(target.vertex, Run)
    (mount,) = target.vertex.mounts
    assert isinstance(mount, BindMount)
    assert mount.source.origin.label == "[one 2/2] RUN one"
    assert labels(build("FROM a\nRUN --mount=type=tmpfs,target=/x two\n"))[1].startswith("[stage-0 2/2] RUN --mount")


def test_a_wrong_mount_in_a_stage_that_is_not_needed_does_no_harm() -> None:
    text = "FROM a AS unused\nRUN --mount=type=bnd,target=/x true\nFROM a\n"
    assert len(chain(build(text))) == 1


def test_the_value_of_a_secret_variable_is_not_shown_in_a_label() -> None:
    vertex = step("--mount=type=secret,id=s,env=TOKEN", "ENV TOKEN=of-the-image\n")
    assert vertex.origin.label.endswith("--mount=type=secret,id=s,env=TOKEN x")
    target = build("FROM a\nENV TOKEN=1\nRUN --mount=type=secret,id=s,env=TOKEN echo $TOKEN\n")
    assert labels(target)[1].endswith("echo ****")
