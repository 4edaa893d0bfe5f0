from __future__ import annotations

import os

import pytest

from ocibuild.cache import CacheFrom, CacheTo, parse_cache_from, parse_cache_to
from ocibuild.errors import OcibuildError
from ocibuild.oci import Reference

_PLACE = Reference.parse("host.example/team/cache")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host.example/team/cache", CacheFrom(_PLACE)),
        ("type=registry,ref=host.example/team/cache", CacheFrom(_PLACE)),
        (" Type = registry , ref=host.example/team/cache:a", CacheFrom(_PLACE.with_tag("a"))),
        ("type=local,src=/kept", CacheFrom(folder="/kept")),
        ("type=local,src=kept", CacheFrom(folder=os.path.abspath("kept"))),
    ],
)
def test_where_to_look_is_understood(text: str, expected: CacheFrom) -> None:
    assert parse_cache_from(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host.example/team/cache", CacheTo(_PLACE)),
        ("type=registry,ref=host.example/team/cache,mode=max", CacheTo(_PLACE, everything=True)),
        ("type=registry,ref=host.example/team/cache,mode=min", CacheTo(_PLACE)),
        (
            "type=registry,ref=host.example/team/cache,image-manifest=true,oci-mediatypes=true,compression=gzip",
            CacheTo(_PLACE),
        ),
        ("type=local,dest=/kept,mode=max,ignore-error=TRUE", CacheTo(folder="/kept", everything=True)),
        ("type=inline", CacheTo()),
    ],
)
def test_where_to_write_is_understood(text: str, expected: CacheTo) -> None:
    assert parse_cache_to(text) == expected
    assert expected.is_inline == (text == "type=inline")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not KEY=VALUE"),
        ("ref=a", "type= is missing"),
        ("type=gha", "type=gha is not supported"),
        ("type=tape", "unknown type 'tape'"),
        ("type=registry", "ref= is missing"),
        ("type=registry,ref=UPPER", "UPPER"),
        ("type=registry,ref=a@sha256:" + 64 * "0", "a digest cannot name a cache"),
        ("type=registry,ref=a:" + 64 * "t", "63 characters at most"),
        ("type=local", "src= is missing"),
        ("type=local,src=a,digest=sha256:1", "digest= is not supported"),
        ("type=inline", "such a cache is in an image"),
        ("type=registry,ref=a,mode=max", "mode= is not supported"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(text: str, message: str) -> None:
    with pytest.raises(OcibuildError, match=message):
        parse_cache_from(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=local,src=a", "dest= is missing"),
        ("type=local,dest=a,src=b", "src= is not supported"),
        ("type=registry,ref=a,mode=most", "mode=most is neither min nor max"),
        ("type=registry,ref=a,compression=zstd", "only compression=gzip is supported"),
        ("type=registry,ref=a,image-manifest=false", "only image-manifest=true is supported"),
        ("type=inline,mode=max", "mode=min"),
        ("type=azblob,name=a", "type=azblob is not supported"),
    ],
)
def test_what_cannot_be_written_is_refused(text: str, message: str) -> None:
    with pytest.raises(OcibuildError, match=message):
        parse_cache_to(text)
