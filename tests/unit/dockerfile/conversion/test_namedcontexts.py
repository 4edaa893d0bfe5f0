from __future__ import annotations

import pytest

from ocibuild.dockerfile import GitContext, HttpContext, ImageContext, LocalFolder
from ocibuild.graph import BindMount, Context, Copy, GitReference, GitTree, HttpFile, Image, Run, Scratch
from ocibuild.oci import DiffID, Digest, History, ImageConfig, Reference, RunConfig
from tests.unit.dockerfile.conversion.helpers import (
    AMD64,
    ARM64,
    PATH,
    Images,
    build,
    chain,
    created_by,
    labels,
    refused,
)

FOLDER = LocalFolder()
IMAGE = ImageContext(Reference.parse("other:1"))
GIT = GitContext(GitReference("https://u:p@h/r.git", "main", commit="abc", keep_git_dir=True))
URL = HttpContext("https://h/x.tar")

REPLACED = [
    ("alpine", "alpine", True),
    ("alpine:latest", "alpine", True),
    ("docker.io/library/alpine", "alpine", True),
    ("alpine:3", "alpine", False),
    ("alpine:3", "alpine:3", True),
    ("other/alpine", "alpine", False),
    ("alpine", "alpine::linux/amd64", True),
    ("alpine", "alpine::linux/arm64", False),
    ("scratch", "scratch", False),
]


@pytest.mark.parametrize(("name", "key", "is_replaced"), REPLACED, ids=[f"{row[0]} by {row[1]}" for row in REPLACED])
def test_a_name_is_replaced_however_it_is_written(name: str, key: str, *, is_replaced: bool) -> None:
    target = build(f"FROM a\nCOPY --from={name} x /\n", contexts={key: FOLDER})
    assert isinstance(target.vertex, Copy)
    tree = target.vertex.sources[0].tree
    assert isinstance(tree, Context) == is_replaced
    assert not isinstance(tree, Context) or tree.name == key


def test_a_platform_of_its_own_wins() -> None:
    contexts = {"x": FOLDER, "x::linux/arm64": IMAGE}
    assert isinstance(build("FROM x\n", contexts=contexts).vertex, Copy)
    images = Images()
    assert isinstance(build("FROM --platform=linux/arm64 x\n", images, contexts=contexts).vertex, Image)
    assert images.asked == [("other:1", "linux/arm64")]


def test_an_image_is_taken_with_its_config_and_its_triggers() -> None:
    config = RunConfig(env=("A=1",), user="u", working_dir="/w", on_build=("RUN one",))
    target = build("FROM base\nRUN two\n", Images({"other:1": config}), contexts={"base": IMAGE})
    image, one, two = chain(target)
    assert isinstance(image, Image)
    assert (image.reference, image.platform) == (Reference.parse("other:1"), AMD64)
    assert image.origin.label.startswith("[context base] docker.io/library/other:1@sha256:")
    assert isinstance(two, Run)
    assert (two.env, two.user, two.working_dir) == (("A=1", PATH), "u", "/w")
    assert [one.origin.label, two.origin.label] == ["[1/3] ONBUILD RUN one", "[2/3] RUN two"]


def test_a_context_in_the_place_of_a_stage_has_none_of_its_instructions() -> None:
    config = RunConfig(env=("A=1",), on_build=("RUN one",))
    text = "FROM b AS s\nRUN ${\nONBUILD RUN three\nFROM s\nRUN two\n"
    target = build(text, Images({"other:1": config}), contexts={"s": IMAGE})
    image, two = chain(target)
    assert isinstance(image, Image)
    assert isinstance(two, Run)
    assert two.env == ("A=1", PATH)
    assert target.config.config.on_build == ()


BASES = [(FOLDER, Context, "local source for x"), (GIT, GitTree, "git snapshot for https://h/r.git#main")]


@pytest.mark.parametrize(("context", "kind", "entry"), BASES, ids=["folder", "git"])
def test_a_stage_on_files_has_them_as_a_layer(context: object, kind: type, entry: str) -> None:
    target = build("FROM x\n", contexts={"x": context})
    assert isinstance(target.vertex, Copy)
    assert isinstance(target.vertex.base, Scratch)
    assert isinstance(target.vertex.sources[0].tree, kind)
    assert (target.vertex.sources[0].paths, target.vertex.destination) == ((".",), "/")
    (last,) = target.config.history
    assert (last.created_by, last.comment, last.empty_layer) == (entry, "buildkit.exporter.image.v0", False)
    assert target.config.config == RunConfig(env=(PATH,), working_dir="/")


HISTORIES = [
    ("ENV A=1", ["ENV A=1", "local source for x"]),
    ("COPY b /\nLABEL c=d\nCOPY c /", ["COPY b / # buildkit", "LABEL c=d", "COPY c / # buildkit", "[2/3] COPY c /"]),
    ("RUN one two", ["RUN /bin/sh -c one two # buildkit", "mount / from exec /bin/sh -c one two"]),
    ("WORKDIR /w", ["WORKDIR /w", "[1/2] WORKDIR /w"]),
    ("FROM x\nCOPY c /", ["COPY c / # buildkit", "[stage-1 1/2] COPY c /"]),
]


@pytest.mark.parametrize(("body", "expected"), HISTORIES, ids=[row[0] for row in HISTORIES])
def test_the_layer_of_files_ends_the_history(body: str, expected: list[str]) -> None:
    target = build(f"FROM x\n{body}\n", contexts={"x": FOLDER})
    assert created_by(target) == expected
    layers = [vertex for vertex in chain(target) if not isinstance(vertex, Scratch)]
    assert len(layers) == sum(not entry.empty_layer for entry in target.config.history)


PULLED = "pulled from docker.io/library/b:latest"
UNRECORDED = [
    ("LABEL a=b", ["base", "LABEL a=b", PULLED, PULLED]),
    ("RUN one", ["base", "RUN /bin/sh -c one # buildkit", PULLED, "mount / from exec /bin/sh -c one"]),
    ("COPY b /\nCOPY c /\nWORKDIR /w", ["[3/4] COPY c /", "[4/4] WORKDIR /w"]),
    ("FROM b\nRUN one", ["base", "RUN /bin/sh -c one # buildkit", PULLED, "mount / from exec /bin/sh -c one"]),
]


@pytest.mark.parametrize(("body", "expected"), UNRECORDED, ids=[row[0] for row in UNRECORDED])
def test_layers_that_a_base_did_not_record_end_the_history(body: str, expected: list[str]) -> None:
    layers = tuple(DiffID(Digest.of(name)) for name in (b"one", b"two", b"three"))
    base = ImageConfig(AMD64, diff_ids=layers, history=(History(created_by="base"),))
    target = build(f"FROM b\n{body}\n", Images(whole={"b": base}))
    assert created_by(target)[-len(expected) :] == expected


def test_the_history_of_a_stage_on_a_url_has_no_password() -> None:
    target = build("FROM x\n", contexts={"x": HttpContext("https://u:p@h/x")})
    assert created_by(target) == ["http url https://…@h/x"]


def test_a_repository_and_a_file_are_copied_from() -> None:
    target = build("FROM a\nCOPY --from=g x /\nCOPY --from=u x /\n", contexts={"g": GIT, "u": URL})
    _, git, http = chain(target)
    assert isinstance(git, Copy)
    assert isinstance(http, Copy)
    tree, files = git.sources[0].tree, http.sources[0].tree
    assert isinstance(tree, GitTree)
    assert (tree.keep_git_dir, tree.checksum) == (True, "abc")
    assert tree.origin.label == "[internal] load git source https://h/r.git"
    assert isinstance(files, Copy)
    (source,) = files.sources
    assert isinstance(source.tree, HttpFile)
    assert (source.tree.url, source.paths, source.unpack) == (URL.url, ("context",), True)


def test_a_context_is_mounted_with_its_rules_and_is_one_vertex() -> None:
    text = "FROM a\nCOPY --from=x a /\nRUN --mount=from=x,target=/m,source=d b\n"
    target = build(text, contexts={"x": FOLDER})
    _, copy, run = chain(target)
    assert isinstance(copy, Copy)
    assert isinstance(run, Run)
    (mount,) = run.mounts
    assert isinstance(mount, BindMount)
    assert isinstance(mount.source, Copy)
    assert mount.source.sources[0].tree is copy.sources[0].tree
    assert labels(target)[1] == "[stage-0 2/3] COPY --from=x a /"


def test_scratch_can_be_given_a_name() -> None:
    target = build("FROM x\nCOPY a /\n", contexts={"x": ImageContext(Reference.parse("scratch"))})
    assert isinstance(chain(target)[0], Scratch)
    assert created_by(target) == ["COPY a / # buildkit"]


@pytest.mark.parametrize("name", ["scratch", "context"])
def test_reserved_names_of_stages_are_not_replaced(name: str) -> None:
    target = build(f"FROM a AS {name}\nENV A=1\nFROM {name}\n", contexts={name: FOLDER})
    assert target.config.config.env == (PATH, "A=1")


def test_a_stage_has_a_name_that_an_image_could_have() -> None:
    error = refused("FROM a AS s-\n")
    assert error.message.startswith("invalid name 's-'")
    assert error.location is not None


def test_stages_that_need_each_other_are_refused_even_if_nobody_needs_them() -> None:
    text = "FROM a AS x\nCOPY --from=y /o /\nFROM a AS y\nRUN --mount=from=x,target=/m z\nFROM a\n"
    error = refused(text)
    assert error.message == "stages need each other: 'x' is needed for itself"
    assert error.location is not None
    assert error.location.first == 4


def test_the_platform_of_the_target_is_that_of_copied_contexts() -> None:
    images = Images()
    build("FROM a\nCOPY --from=base /x /\n", images, contexts={"base": IMAGE}, platform=ARM64)
    assert ("other:1", "linux/arm64") in images.asked
