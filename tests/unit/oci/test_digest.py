from __future__ import annotations

import hashlib

import pytest

from ocibuild.errors import InvalidDigest
from ocibuild.oci import DiffID, Digest, chain_id, chain_ids

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_digest_of_bytes_is_their_sha256() -> None:
    assert Digest.of(b"") == EMPTY


@pytest.mark.parametrize("text", [EMPTY, "sha512:" + hashlib.sha512(b"").hexdigest()], ids=["sha256", "sha512"])
def test_a_digest_goes_in_and_comes_out_unchanged(text: str) -> None:
    digest = Digest.parse(text)
    assert str(digest) == text
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert digest.hasher().hexdigest() == digest.encoded


def test_the_short_form_has_twelve_characters() -> None:
    assert Digest.parse(EMPTY).short == "e3b0c44298fc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:abc",
        EMPTY.upper(),
        EMPTY[:-1] + "G",
        EMPTY[:-1] + "B",
        EMPTY + "\n",
        EMPTY + "0",
        " " + EMPTY,
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha384:" + "0" * 96,
        "../../etc:passwd",
        "sha256:" + "٣" * 64,
        "a" * 100_000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_is_no_digest_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_algorithm_that_we_cannot_compute_is_named() -> None:
    with pytest.raises(InvalidDigest, match="'blake3' is not supported"):
        Digest.parse("blake3:" + "0" * 64)


def test_a_single_layer_is_its_own_chain() -> None:
    layer = DiffID(Digest.of(b"a"))
    assert str(chain_id([layer])) == layer


def test_a_chain_hashes_the_chain_below_and_the_layer() -> None:
    a, b, c = (DiffID(Digest.of(text)) for text in (b"a", b"b", b"c"))
    two = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    three = "sha256:" + hashlib.sha256(f"{two} {c}".encode()).hexdigest()
    assert [str(chain) for chain in chain_ids([a, b, c])] == [a, two, three]
    assert chain_id([a, b, c]) == three


def test_no_layer_has_no_chain() -> None:
    assert chain_ids([]) == ()
    with pytest.raises(ValueError, match="no chain ID"):
        chain_id([])
