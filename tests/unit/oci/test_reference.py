from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.errors import InvalidReference
from ocibuild.oci import Digest, Reference

DIGEST = str(Digest.of(b""))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("http://x/y", "it has no scheme"),
        ("a b", "it has spaces"),
        (" ", "it has spaces"),
        ("a//b", "a part between slashes is empty"),
        ("team/a_.b", "'a_.b' may have a-z and 0-9, and between them '.', '_', '__' and dashes"),
        ("-a", "'-a' may have"),
    ],
)
def test_the_rule_that_a_name_breaks_is_told(text: str, rule: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert caught.value.message.startswith(f"{text!r} is not an image reference: {rule}")


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("localhost:5000/x:T_1", "localhost:5000/x:T_1", "localhost:5000/x:T_1"),
        ("127.0.0.1/x", "127.0.0.1/x:latest", "127.0.0.1/x:latest"),
        ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000/a/b/c:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("[2001:db8::1]/x:y", "[2001:db8::1]/x:y", "[2001:db8::1]/x:y"),
        ("ghcr.io/o/r", "ghcr.io/o/r:latest", "ghcr.io/o/r:latest"),
        ("GHCR.io/o/r", "GHCR.io/o/r:latest", "GHCR.io/o/r:latest"),
        ("a/b__c/d-----e/f.g/h_i", "docker.io/a/b__c/d-----e/f.g/h_i:latest", "a/b__c/d-----e/f.g/h_i:latest"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine@{DIGEST}", f"alpine@{DIGEST}"),
        (f"alpine:3@{DIGEST}", f"docker.io/library/alpine:3@{DIGEST}", f"alpine:3@{DIGEST}"),
        (f"localhost:5000/x@{DIGEST}", f"localhost:5000/x@{DIGEST}", f"localhost:5000/x@{DIGEST}"),
        ("docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"),
        (f"docker.io/{'a' * 64}", f"docker.io/library/{'a' * 64}:latest", f"docker.io/library/{'a' * 64}:latest"),
    ],
)
def test_a_reference_is_completed_and_shortened_as_docker_does(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar() == familiar
    assert Reference.parse(full) == reference
    assert Reference.parse(familiar) == reference


def test_the_parts_are_told_apart() -> None:
    reference = Reference.parse(f"registry.example:5000/team/app:1.2@{DIGEST}")
    assert reference == Reference("registry.example:5000", "team/app", "1.2", Digest.parse(DIGEST))
    assert reference.repository == "registry.example:5000/team/app"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "alpine\n",
        ":tag",
        "alpine:",
        "alpine:-x",
        "alpine:.x",
        "alpine:a b",
        "alpine@",
        "alpine@sha256:abc",
        f"alpine@{DIGEST}@{DIGEST}",
        "@" + DIGEST,
        "/alpine",
        "alpine/",
        "a//b",
        "a..b",
        "a___b",
        "a-/b",
        "-a",
        "../etc",
        "a/../b",
        "http://registry.example/x",
        "docker.io/",
        "registry.example:port/x",
        "registry.example:/x",
        "registry.example:123456/x",
        "-bad.example/x",
        "[::1/x",
        "[::1]5000/x",
        "[fe80::1%eth0]/x",
        "registry.example/x:y:z",
        "\uff41lpine",
        "a" * 5000,
        "alpine\x00",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [("Alpine", "alpine"), ("Alpine:Tag", "alpine"), ("localhost:5000/Team/App", "localhost:5000/team/app")],
)
def test_an_upper_case_name_is_refused_with_the_lower_case_one(text: str, hint: str) -> None:
    with pytest.raises(InvalidReference, match="must be lower case") as caught:
        Reference.parse(text)
    assert caught.value.remedy == f"try {hint!r}"


def test_an_image_id_is_not_taken_for_a_name() -> None:
    with pytest.raises(InvalidReference, match="image ID"):
        Reference.parse("0123456789abcdef" * 4)


def test_names_and_tags_may_be_just_so_long() -> None:
    path = "a" * 127 + "/" + "b" * 127
    tag = "t" * 128
    assert Reference.parse(f"registry.example/{path}:{tag}").path == path
    with pytest.raises(InvalidReference, match="256 characters"):
        Reference.parse(f"registry.example/{path}c")
    with pytest.raises(InvalidReference, match="is not a tag"):
        Reference.parse(f"alpine:{tag}t")


def test_a_tag_replaces_the_digest_and_a_digest_keeps_the_tag() -> None:
    reference = Reference.parse("alpine:3")
    pinned = reference.with_digest(Digest.parse(DIGEST))
    assert pinned.familiar() == f"alpine:3@{DIGEST}"
    assert pinned.with_tag("4") == Reference.parse("alpine:4")
    with pytest.raises(InvalidReference):
        reference.with_tag("no tag")


@given(st.text(alphabet="aB0.:/@-_[]" + "é \n", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_reference_that_survives_or_is_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference
