"""Each part of an operation's meaning is in its key, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ocibuild.errors import SourceRange
from ocibuild.fs import ModeChange
from ocibuild.graph import (
    BindMount,
    CacheMount,
    Context,
    Copy,
    CopySource,
    ExtraHost,
    HttpFile,
    Image,
    Inline,
    InlineFile,
    MakeDirectory,
    Network,
    Origin,
    Run,
    Scratch,
    SecretMount,
    Security,
    Ulimit,
)
from ocibuild.graph import Vertex as AnyVertex
from ocibuild.oci import Digest, Platform, Reference
from ocibuild.solver.keys import Keys, canonical, key_of
from ocibuild.solver.plan import topological

_IMAGE = Image(Reference.parse("base"), Platform("linux", "amd64"), Digest.of(b"manifest"))
_RUN = Run(_IMAGE, ("sh", "-c", "make"), ("A=1", "B=2"), ("http_proxy=x",), "app", "/w", Network.DEFAULT)
_GIVEN = replace(
    _RUN, extra_hosts=(ExtraHost("db", "192.0.2.7"),), shm_size=1 << 20, ulimits=(Ulimit("nofile", 10, 20),)
)
_MODE, _OTHER_MODE = ModeChange.parse("755"), ModeChange.parse("go-w")
_COPY = Copy(_IMAGE, (CopySource(Context(), ("a", "b")),), "/to", "app", _MODE)
_FROM = Copy(_IMAGE, (CopySource(_RUN, ("a", "b")),), "/to", "app", _MODE)
_LINK = replace(_FROM, link=True)
_INLINE = Inline((InlineFile("a", b"content"),))
_HTTP = HttpFile("http://host.example/a", "a")
_BIND, _CACHE = BindMount("/src", _RUN, "/src"), CacheMount("/cache", "id", source=_IMAGE)
_MOUNTS = replace(_RUN, mounts=(_BIND, _CACHE))
_MAKE = MakeDirectory(_IMAGE, "/w", "app")


def taking(*paths: str, tree: AnyVertex = _RUN, unpack: bool = False) -> dict[str, Any]:
    return {"sources": (CopySource(tree, paths, unpack),)}


def keys_of(
    vertex: AnyVertex, *, chain: str = "chain", content: bytes = b"content", remote: str = "etag"
) -> tuple[Keys, Digest]:
    keys = Keys(lambda _: chain, lambda *_: Digest.of(content), lambda _: remote)
    for one in topological(vertex):
        keys.compute(one)
    return keys, keys[vertex]


def second_key(keys: Keys, vertex: Run | Copy, stack: list[str], contents: dict[int, Digest]) -> Digest:
    return key_of(keys.inputs_by_content(vertex, stack, contents))


@pytest.mark.parametrize(
    ("vertex", "change"),
    [
        (_RUN, {"args": ("sh", "-c", "make all")}),
        (_RUN, {"args": ("sh", "-c make")}),
        (_RUN, {"env": ("A=1",)}),
        (_RUN, {"env": ("B=2", "A=1")}),
        (_RUN, {"user": "root"}),
        (_RUN, {"working_dir": "/"}),
        (_RUN, {"network": Network.NONE}),
        (_RUN, {"hostname": "other"}),
        (_RUN, {"extra_hosts": (ExtraHost("db", "192.0.2.7"),)}),
        (_GIVEN, {"extra_hosts": (ExtraHost("cache", "192.0.2.7"),)}),
        (_RUN, {"shm_size": 1 << 20}),
        (_GIVEN, {"shm_size": 2 << 20}),
        (_RUN, {"ulimits": (Ulimit("nofile", 10, 20),)}),
        (_GIVEN, {"ulimits": (Ulimit("nofile", 10, 30),)}),
        (_GIVEN, {"ulimits": (Ulimit("nproc", 10, 20),)}),
        (_RUN, {"platform": Platform("linux", "arm64")}),
        (_RUN, {"base": Scratch()}),
        (_RUN, {"base": MakeDirectory(_IMAGE, "/x")}),
        (_COPY, {"destination": "/to/"}),
        (_COPY, {"owner": "other"}),
        (_COPY, {"owner": None}),
        (_COPY, {"mode": _OTHER_MODE}),
        (_COPY, {"mode": None}),
        (_COPY, taking("a", "b", tree=Context(), unpack=True)),
        (_COPY, {"sources": (*_COPY.sources, CopySource(_INLINE, ("a",)))}),
        (_COPY, {"parents": True}),
        (_COPY, {"exclude": ("*.md",)}),
        (_COPY, {"link": True}),
        (_COPY, {"base": Scratch()}),
        (_FROM, taking("a")),
        (_FROM, taking("b", "a")),
        (_FROM, taking("a", "b", unpack=True)),
        (_FROM, {"destination": "/other"}),
        (_FROM, {"owner": None}),
        (_FROM, {"mode": None}),
        (_FROM, {"base": Scratch()}),
        (_FROM, taking("a", "b", tree=replace(_RUN, user=""))),
        (_LINK, taking("a", "b", tree=replace(_RUN, user=""))),
        (_RUN, {"security": Security.INSECURE}),
        (_RUN, {"mounts": (SecretMount("token", "/run/secrets/token"),)}),
        (_MOUNTS, {"mounts": (replace(_BIND, target="/other"), _CACHE)}),
        (_MOUNTS, {"mounts": (replace(_BIND, read_only=False), _CACHE)}),
        (_MOUNTS, {"mounts": (replace(_BIND, path="/other"), _CACHE)}),
        (_MOUNTS, {"mounts": (_BIND, replace(_CACHE, path="/other"))}),
        (_MAKE, {"time": 0}),
        (_INLINE, {"files": (InlineFile("a", b"other"),)}),
        (_INLINE, {"files": (InlineFile("b", b"content"),)}),
        (_HTTP, {"name": "b"}),
        (Run(_LINK, ("sh",)), {"base": replace(_LINK, base=Scratch())}),
        (Copy(_IMAGE, (CopySource(_LINK, ("a",)),), "/"), taking("a", tree=replace(_LINK, base=Scratch()))),
        (Run(_IMAGE, (), mounts=(BindMount("/a", _LINK),)), {"mounts": (BindMount("/a", replace(_LINK, base=_RUN)),)}),
        (_MAKE, {"path": "/other"}),
        (_MAKE, {"user": ""}),
        (_MAKE, {"base": Scratch()}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else str(*value),
)
def test_a_part_of_the_meaning_changes_the_key(vertex: Any, change: dict[str, Any]) -> None:
    assert keys_of(replace(vertex, **change))[1] != keys_of(vertex)[1]


@pytest.mark.parametrize(
    ("vertex", "change"),
    [
        (_RUN, {"hidden_env": ("http_proxy=y",)}),
        (_RUN, {"origin": Origin("[2/2] RUN make", SourceRange("Dockerfile", 3, 4))}),
        (_GIVEN, {"extra_hosts": (ExtraHost("db", "198.51.100.9"),)}),
        (_COPY, {"origin": Origin("other")}),
        (_COPY, taking("pattern*", tree=Context())),
        (_LINK, {"base": Scratch()}),
        (_IMAGE, {"reference": Reference.parse("other"), "digest": Digest.of(b"other manifest")}),
    ],
    ids=[
        "proxies",
        "origin",
        "where-a-host-is",
        "origin-of-copy",
        "how-files-are-named",
        "what-a-link-lies-on",
        "name-of-an-image",
    ],
)
def test_what_is_no_part_of_the_meaning_does_not(vertex: Any, change: dict[str, Any]) -> None:
    assert keys_of(replace(vertex, **change))[1] == keys_of(vertex)[1]


def test_the_content_of_a_context_counts_and_the_chain_of_an_image_and_what_a_url_gives() -> None:
    assert keys_of(_COPY, content=b"other")[1] != keys_of(_COPY)[1]
    assert keys_of(_HTTP, remote="other")[1] != keys_of(_HTTP)[1]
    assert keys_of(_RUN, chain="other")[1] != keys_of(_RUN)[1]


def test_the_second_key_is_by_what_the_inputs_are() -> None:
    other = replace(_FROM, **taking("pattern*", tree=replace(_RUN, args=("other",))), base=Scratch())
    keys, other_keys = keys_of(_FROM)[0], keys_of(other)[0]
    same, different = {0: Digest.of(b"same")}, {0: Digest.of(b"different")}
    second = second_key(keys, _FROM, ["root", "1"], same)
    assert second == second_key(other_keys, other, ["root", "1"], same)
    assert second != second_key(keys, _FROM, ["root", "1"], different)
    assert second != second_key(keys, _FROM, ["root", "2"], same)
    chowned = replace(_FROM, owner="else")
    assert second != second_key(keys_of(chowned)[0], chowned, ["root", "1"], same)


def test_the_second_key_of_a_run_is_by_its_tree_and_its_process() -> None:
    on_other = replace(_RUN, base=Scratch())
    keys, other_keys = keys_of(_RUN)[0], keys_of(on_other)[0]
    assert second_key(keys, _RUN, ["1"], {}) == second_key(other_keys, on_other, ["1"], {})
    changed = replace(_RUN, user="else")
    assert second_key(keys, _RUN, ["1"], {}) != second_key(keys_of(changed)[0], changed, ["1"], {})


def test_names_that_are_not_utf8_have_keys() -> None:
    assert keys_of(replace(_MAKE, path="/\udcff"))[1] != keys_of(replace(_MAKE, path="/\udcfe"))[1]


def test_a_key_is_the_digest_of_the_inputs_as_they_are_kept() -> None:
    for vertex in (_GIVEN, _MOUNTS, _COPY, _FROM, _LINK, _MAKE, _INLINE, _HTTP):
        keys, key = keys_of(vertex)
        kept = json.loads(canonical(keys.inputs(vertex)))
        assert key_of(kept) == key
        assert canonical(kept) == canonical(keys.inputs(vertex))


def test_inputs_have_the_names_that_a_miss_is_explained_by() -> None:
    keys, _ = keys_of(_GIVEN)
    assert keys.inputs(_GIVEN) == {
        "kind": "run",
        "base": keys[_IMAGE],
        "command": ("sh", "-c", "make"),
        "environment": ("A=1", "B=2"),
        "user": "app",
        "directory": "/w",
        "hostname": "default",
        "network": "default",
        "security": "sandbox",
        "mounts": [],
        "hosts": ["db"],
        "shm": 1 << 20,
        "ulimits": (Ulimit("nofile", 10, 20),),
    }
    assert keys_of(_MOUNTS)[0].inputs(replace(_MAKE, base=_RUN))["parent"] == keys_of(_RUN)[1]


def test_files_of_a_context_are_never_taken_for_those_of_a_stage() -> None:
    """A copy from a stage keeps capabilities, and one from a context does not."""
    content = Digest.of(b"content")
    keys, other = keys_of(_COPY)[0], keys_of(_FROM)[0]
    assert second_key(keys, _COPY, ["1"], {}) != second_key(other, _FROM, ["1"], {0: content})


def test_nothing_hidden_is_in_the_inputs() -> None:
    keys, _ = keys_of(_RUN)
    assert "http_proxy" not in canonical(keys.inputs(_RUN))
