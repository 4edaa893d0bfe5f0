from __future__ import annotations

import io

import pytest

from ocibuild.errors import DigestMismatch, InvalidDocument
from ocibuild.oci import Descriptor, Digest, documents
from ocibuild.oci.verified import read_verified, verified

DATA = b"0123456789" * 300_000
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


def test_what_is_right_comes_whole_in_small_pieces() -> None:
    pieces = list(verified(io.BytesIO(DATA), BLOB))
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) == 1 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DATA[:-1], "2999999 bytes where 3000000 should be"),
        (DATA[:-1] + b"X", "the content has the digest sha256:"),
        (b"", "0 bytes where"),
    ],
    ids=["shorter", "other", "empty"],
)
def test_what_is_wrong_does_not_come_to_its_end(data: bytes, message: str) -> None:
    with pytest.raises(DigestMismatch, match=f"^{BLOB.digest}: .*{message}"):
        list(verified(io.BytesIO(data), BLOB))


def test_no_more_is_taken_than_there_should_be() -> None:
    """Of an endless stream, what is yielded is never more than the size."""

    class Endless:
        def read(self, size: int, /) -> bytes:
            return bytes(size)

        def close(self) -> None:
            pass

    taken: list[bytes] = []
    with pytest.raises(DigestMismatch, match="more than the 3000000 bytes"):
        taken.extend(verified(Endless(), BLOB))
    assert sum(map(len, taken)) <= BLOB.size


def test_a_document_beyond_its_limit_is_not_read() -> None:
    with pytest.raises(InvalidDocument, match="3000000 bytes, and such a document may have 100"):
        read_verified(io.BytesIO(DATA), BLOB, limit=100)
    assert read_verified(io.BytesIO(DATA), BLOB, limit=len(DATA)) == DATA


@pytest.mark.parametrize("data", [b"{}", b"1", b"[1]", b"[[]]", b'[{"a": 1, "a": 2}]', b"[" * 100_000, b"[NaN]"])
def test_an_array_of_objects_is_nothing_else(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match=r"^list\.json: "):
        documents.loads_objects(data, what="list.json")
    assert documents.loads_objects(b'[{"a": null, "b": 1}, {}]', what="list.json") == ({"b": 1}, {})
