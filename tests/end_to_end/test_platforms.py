"""Images of several platforms in one index."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.program import Program

BOTH = ("--platform", "linux/amd64,linux/arm64")
TEXT = """\
FROM --platform=$BUILDPLATFORM {base} AS builder
COPY greeting /greeting
ARG TARGETARCH
RUN echo "for $TARGETARCH" > /arch
FROM scratch
COPY --from=builder /arch /arch
COPY greeting /greeting
LABEL of=platforms
"""


@pytest.fixture
def context(everywhere: Program, busybox_base: str) -> Path:
    return everywhere.context("platforms", {"Dockerfile": TEXT.format(base=busybox_base), "greeting": "hello\n"})


def _skopeo(*words: str | Path) -> str:
    command = [require_peer("skopeo"), *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def _platforms(index: str) -> list[str]:
    return [f"{one['platform']['os']}/{one['platform']['architecture']}" for one in json.loads(index)["manifests"]]


def test_an_index_is_pushed_and_each_platform_pulled(everywhere: Program, context: Path, registry: str) -> None:
    name = f"{registry}/platforms/{everywhere.user.account.name}"
    built = everywhere.build(context, *BOTH, "--push", "-t", name)
    raw = _skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    assert _platforms(raw) == ["linux/amd64", "linux/arm64"]
    assert json.loads(raw)["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert (
        built.image_id
        == _skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}").strip()
    )
    assert "valid" in everywhere.check("validate", "--all", f"docker://{name}")
    for architecture in ("amd64", "arm64"):
        other = ("--root", everywhere.user.home / f"store-{architecture}")
        everywhere.check(*other, "pull", "--platform", f"linux/{architecture}", name)
        archive = everywhere.user.home / f"files-{architecture}"
        text = f"FROM --platform=linux/{architecture} {name}\n"
        files = everywhere.context("files", {"Dockerfile": text})
        everywhere.build(files, "--platform", f"linux/{architecture}", "-o", archive, root=other[1])
        assert (archive / "arch").read_text() == f"for {architecture}\n"


def test_each_image_is_the_one_that_its_platform_alone_gives(everywhere: Program, context: Path) -> None:
    everywhere.build(context, *BOTH, "-t", "several")
    index = everywhere.user.home / "index"
    everywhere.check("save", "--format", "oci-dir", "-o", index, "several")
    (entry,) = json.loads((index / "index.json").read_text())["manifests"]
    together = json.loads((index / "blobs/sha256" / entry["digest"].partition(":")[2]).read_text())["manifests"]
    alone = []
    for platform in ("linux/amd64", "linux/arm64"):
        written = everywhere.user.home / "alone.json"
        built = everywhere.build(context, "--platform", platform, "--metadata-file", written)
        assert built.ran() == [], "what one platform needs was built with the others"
        alone.append(json.loads(written.read_text())["containerimage.digest"])
    assert [one["digest"] for one in together] == alone


def test_the_id_of_an_index_names_it(everywhere: Program, context: Path) -> None:
    built = everywhere.build(context, *BOTH)
    inspected = json.loads(everywhere.check("inspect", built.image_id))
    assert inspected == json.loads(everywhere.check("inspect", built.image_id[7:19]))
    assert "valid" in everywhere.check("validate", built.image_id)
    everywhere.check("tag", built.image_id, "named:1")
    archive = everywhere.user.home / "named.tar"
    everywhere.check("save", "--format", "oci-archive", "-o", archive, "named:1")
    assert _platforms(_skopeo("inspect", "--raw", f"oci-archive:{archive}")) == ["linux/amd64", "linux/arm64"]


def test_standard_input_is_read_once_for_all(everywhere: Program, context: Path) -> None:
    archive = everywhere.user.home / "input.tar"
    run = subprocess.run(["tar", "-C", context, "-cf", archive, "."], check=False)
    assert run.returncode == 0
    files = everywhere.user.home / "of-input"
    built = everywhere.user.run(
        "sh", "-c", f"ocibuild build -q {' '.join(BOTH)} -o {files} - < {archive}", cwd=everywhere.user.home
    )
    assert built.returncode == 0, built.stderr
    assert (files / "linux_arm64/arch").read_text() == "for arm64\n"
    assert (files / "linux_amd64/greeting").read_text() == "hello\n"


_RANDOM = """\
FROM --platform=$BUILDPLATFORM {base} AS builder
RUN cat /proc/sys/kernel/random/uuid > /once
FROM scratch
COPY --from=builder /once /once
"""


def test_what_is_alike_is_made_once_without_a_cache_too(everywhere: Program, busybox_base: str) -> None:
    context = everywhere.context("random", {"Dockerfile": _RANDOM.format(base=busybox_base)})
    files = everywhere.user.home / "random-files"
    for flags in (("--no-cache",), ("--no-cache-filter", "builder")):
        built = everywhere.build(context, *BOTH, *flags, "-o", files)
        assert len(built.ran("RUN")) == 1
        assert (files / "linux_amd64/once").read_text() == (files / "linux_arm64/once").read_text()


def test_all_platforms_are_of_the_same_sources(everywhere: Program, busybox_base: str) -> None:
    """What is saved while the first is made is in none of them, or the build fails: never in one alone."""
    text = (
        f"FROM --platform=$BUILDPLATFORM {busybox_base} AS builder\nARG TARGETARCH\nRUN sleep 3; echo $TARGETARCH\n"
        "FROM scratch\nCOPY --from=builder /etc/passwd /passwd\nCOPY greeting /greeting\n"
    )
    context = everywhere.context("moving", {"Dockerfile": text, "greeting": "before\n"})
    files = everywhere.user.home / "moving-files"
    process = everywhere.start("build", "--no-cache", *BOTH, "-o", str(files), context)
    time.sleep(2)
    (context / "greeting").write_text("after, and longer\n")
    process.communicate()
    if process.returncode == 0:
        texts = {(files / f"linux_{one}/greeting").read_text() for one in ("amd64", "arm64")}
        assert len(texts) == 1


def test_the_name_of_a_base_stays_that_of_this_machines(everywhere: Program, busybox_base: str, registry: str) -> None:
    name = f"{registry}/platforms/base-{everywhere.user.account.name}"
    base = everywhere.context("base", {"Dockerfile": "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\n"})
    everywhere.build(base, *BOTH, "--push", "-t", name)
    other = everywhere.user.home / "store-base"
    upon = everywhere.context("upon", {"Dockerfile": f"FROM {name}\nLABEL more=1\n"})
    for platforms in ("linux/amd64,linux/arm64", "linux/arm64", "linux/arm64,linux/amd64"):
        everywhere.build(upon, "--platform", platforms, root=other)
        (found,) = json.loads(everywhere.check("--root", other, "inspect", name))
        assert found["Architecture"] == "amd64"


def test_steps_are_told_apart_and_what_is_alike_is_built_once(everywhere: Program, context: Path) -> None:
    everywhere.run("prune", "--all")
    built = everywhere.build(context, *BOTH)
    assert [label for label in built.ran("RUN") if "linux/amd64" in label or "linux/arm64" in label] == built.ran("RUN")
    assert len(built.ran("RUN")) == 2
    assert len([label for label in built.ran("COPY") if "greeting" in label]) == 3, "in the builder, and in each image"


def test_outputs_of_an_index(everywhere: Program, context: Path) -> None:
    home = everywhere.user.home
    everywhere.build(
        context,
        *BOTH,
        "-t",
        "several:1",
        "--annotation",
        "index:org.example.of=index",
        "--annotation",
        "org.example.of=manifest",
        "-o",
        f"type=oci,dest={home}/zstd.tar,compression=zstd,force-compression=true,annotation-index.org.example.by=us",
        "-o",
        f"type=local,dest={home}/files",
    )
    index = json.loads(_skopeo("inspect", "--raw", f"oci-archive:{home}/zstd.tar"))
    assert index["annotations"] == {"org.example.of": "index", "org.example.by": "us"}
    assert "valid" in everywhere.check("validate", home / "zstd.tar")
    _skopeo("copy", "--all", f"oci-archive:{home}/zstd.tar", f"dir:{home}/copied")
    manifests = [json.loads(path.read_text()) for path in (home / "copied").glob("*.manifest.json")]
    assert len(manifests) == 2
    for manifest in manifests:
        assert manifest["annotations"] == {"org.example.of": "manifest"}
        assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert (home / "files/linux_amd64/arch").read_text() == "for amd64\n"
    assert (home / "files/linux_arm64/arch").read_text() == "for arm64\n"


def test_a_docker_media_type_of_the_list(everywhere: Program, context: Path, registry: str) -> None:
    name = f"{registry}/platforms/docker-{everywhere.user.account.name}"
    everywhere.build(context, *BOTH, "-o", f"type=registry,name={name},oci-mediatypes=false")
    raw = json.loads(_skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert {one["mediaType"] for one in raw["manifests"]} == {"application/vnd.docker.distribution.manifest.v2+json"}


def test_an_index_is_reproducible(everywhere: Program, context: Path) -> None:
    epoch = ("--build-arg", "SOURCE_DATE_EPOCH=1700000000")
    first = everywhere.build(context, *BOTH, *epoch, "--verify-reproducible", "-o", _rewritten(everywhere, "one.tar"))
    other = everywhere.user.home / "another"
    second = everywhere.build(context, *BOTH, *epoch, "-o", _rewritten(everywhere, "two.tar"), root=other)
    assert first.image_id == second.image_id


def test_an_inline_cache_of_an_index_serves_each_platform(everywhere: Program, context: Path, registry: str) -> None:
    name = f"{registry}/platforms/inline-{everywhere.user.account.name}"
    here, other = everywhere.user.home / "store-here", everywhere.user.home / "store-inline"
    first = everywhere.build(context, *BOTH, "--push", "-t", name, "--cache-to", "type=inline", root=here)
    second = everywhere.build(context, *BOTH, "-t", "again", "--cache-from", name, root=other)
    assert len([label for label in first.ran("COPY") if "stage-1" in label]) == 4, "two of each image"
    assert [label for label in second.ran("COPY") if "stage-1" in label] == []


def _rewritten(program: Program, name: str) -> str:
    return f"type=oci,dest={program.user.home}/{name},rewrite-timestamp=true"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o", "type=docker,dest=x.tar"], "type=docker holds one platform (take type=oci, or one --platform)"),
        (["-o", "type=tar,dest=x.tar"], "type=tar holds one platform (take type=local, or one --platform)"),
        (["-o", "type=image,oci-mediatypes=false", "--annotation", "index:a=b"], "docker's lists have no annotations"),
        ([], "linux/arm64; it has linux/amd64 (choose one with --platform)"),
        (["--annotation", "index-descriptor:a=b"], "only manifests and indexes are annotated"),
        (["--annotation", "manifest[linux/arm64]:a=b"], "only manifests and indexes are annotated"),
        (["-o", "type=image,oci-mediatypes=false,annotation-index.a=b"], "docker's lists have no annotations"),
        (["--dry-run"], "--dry-run is of one platform (give one --platform)"),
        (["--check"], "a Dockerfile is looked at for one platform (give one --platform)"),
    ],
)
def test_what_an_index_cannot_be(ocibuild: Program, busybox_base: str, words: list[str], expected: str) -> None:
    context = ocibuild.context("wrong", {"Dockerfile": f"FROM {busybox_base}\n"})
    built = ocibuild.try_build(context, *BOTH, *words)
    assert built.status != 0
    assert expected in built.stderr
    assert "Traceback" not in built.stderr


def test_one_platform_has_no_index_to_annotate(ocibuild: Program) -> None:
    context = ocibuild.context("one", {"Dockerfile": "FROM scratch\nLABEL a=b\n"})
    assert "an annotation without a name" in ocibuild.try_build(context, "--annotation", "manifest:=b").stderr
    for words in (["--annotation", "index:a=b"], ["-o", "type=image,annotation-index.a=b"]):
        built = ocibuild.try_build(context, *words)
        assert built.status == 2
        assert "one platform has no index" in built.stderr
