from __future__ import annotations

import pytest

from ocibuild.errors import UsageError
from ocibuild.oci import Digest, Reference
from ocibuild.transfer import parse_location
from ocibuild.transfer.locations import (
    DockerArchiveLocation,
    FolderLocation,
    LayoutLocation,
    Location,
    RegistryLocation,
    StoreLocation,
)

DIGEST = Digest.of(b"")
APP = Reference.parse("app:1")


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("docker://app:1", RegistryLocation(APP)),
        (f"docker://[::1]:5000/a@{DIGEST}", RegistryLocation(Reference("[::1]:5000", "a", None, DIGEST))),
        ("oci:a/b", LayoutLocation("a/b")),
        ("oci:a:1.0", LayoutLocation("a", "1.0")),
        ("oci:/a@b:1.0", LayoutLocation("/a@b", "1.0")),
        ("oci:a:x/y:1", LayoutLocation("a", "x/y:1")),
        (f"oci:a@{DIGEST}", LayoutLocation("a", digest=DIGEST)),
        ("oci-archive:a.tar", LayoutLocation("a.tar", archive=True)),
        (f"oci-archive:a.tar@{DIGEST}", LayoutLocation("a.tar", digest=DIGEST, archive=True)),
        ("docker-archive:a.tar", DockerArchiveLocation("a.tar")),
        ("docker-archive:a.tar:app:1", DockerArchiveLocation("a.tar", APP)),
        ("docker-archive:a.tar:@2", DockerArchiveLocation("a.tar", number=2)),
        ("dir:/a:b", FolderLocation("/a:b")),
        ("store:app:1", StoreLocation(APP)),
    ],
)
def test_locations_are_read_as_skopeo_reads_them(text: str, location: Location) -> None:
    assert parse_location(text) == location
    assert parse_location(str(location)) == location


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'': it does not begin with a transport (known are docker://REF, oci:DIR, "),
        ("app", "'app': it does not begin with a transport"),
        ("app:1", "'app:1': 'app' is not a transport (known are docker://REF, oci:DIR, oci-archive:FILE, "),
        ("OCI:a", "'OCI' is not a transport"),
        ("docker:app", "'docker:app': two slashes are missing (write docker://app)"),
        ("docker:/app", "(write docker://app)"),
        ("docker://", "an image reference has 1 to 1024 characters"),
        ("docker://App", "a repository name must be lower case"),
        ("oci:", "'oci:': it names no path"),
        ("oci::1", "it names no path"),
        ("oci:a:", "'' is not a tag of a layout"),
        ("oci:a:b c", "'b c' is not a tag of a layout"),
        ("oci:a:" + "b" * 513, "is not a tag of a layout"),
        ("oci:a\0b", "it names no path"),
        ("oci:a@sha256:12", "sha256 is 64 lower-case hexadecimal digits"),
        (f"oci:a:1@{DIGEST}", "a tag and a digest (give one of them)"),
        ("docker-archive:", "it names no path"),
        ("docker-archive:a:@x", "'@x' is not the number of an image (the first one is @0)"),
        ("docker-archive:a:@-1", "is not the number of an image"),
        ("docker-archive:a:", "an image reference has 1 to 1024 characters"),
        ("dir:", "it names no path"),
        ("store:", "an image reference has 1 to 1024 characters"),
        ("docker-daemon:app:1", "the transport docker-daemon: is not supported (save the image with 'docker save'"),
        ("containers-storage:app", "the transport containers-storage: is not supported (save the image with 'podman"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_location(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
