"""Files from elsewhere: URLs, Git repositories, named contexts, and contexts that are no folder of this machine."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from typing import TYPE_CHECKING

import pytest

from ocibuild.oci import Digest
from tests.support.program import Built, Program
from tests.support.web import Page, Repository, Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SHOW = 'RUN cd /x && for f in $(find . -type f -o -type l | sort); do echo "$(stat -c %a:%u $f) $f $(cat $f)"; done\n'


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serve_web(tmp_path / "repositories") as web:
        yield web


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.make(tmp_path / "repositories/app.git")
    made.commit({"one": "1", "sub/two": "2"})
    made.git("tag", "v1")
    made.commit({"one": "changed"})
    return made


def test_a_file_behind_a_url(ocibuild: Program, busybox_base: str, web: Web) -> None:
    url = web.put("/dir/name.txt?token=x", Page(b"one", headers={"ETag": '"1"'}))
    dockerfile = f"FROM {busybox_base}\nADD {url} /x/\nADD --chmod=644 {url} /x/other\n{SHOW}"
    folder = ocibuild.context("url", {"Dockerfile": dockerfile})
    built = ocibuild.build(folder)
    assert built.output == ["644:0 ./other one", "600:0 ./name.txt one"][::-1]
    assert len(web.seen) == 1
    again = ocibuild.build(folder)
    assert again.image_id == built.image_id
    assert again.ran() == ["[internal] look up " + web.url("/dir/name.txt?…")]
    web.put("/dir/name.txt?token=x", Page(b"two", headers={"ETag": '"2"'}))
    assert "600:0 ./name.txt two" in ocibuild.build(folder).output
    assert "token" not in again.stderr.replace(f"ADD {url}", "").replace(url, "")


def test_what_follows_the_same_content_of_another_time_or_commit_stays_cached(
    ocibuild: Program, busybox_base: str, web: Web, repository: Repository
) -> None:
    def put(content: bytes, day: int) -> None:
        web.put("/f", Page(content, headers={"Last-Modified": f"Sat, 0{day} Feb 2020 00:00:00 GMT"}))

    dockerfile = f"FROM {busybox_base}\nADD {web.url('/f')} /f\nADD {web.url('/git/app.git')} /x\nRUN cat /f /x/one\n"
    folder = ocibuild.context("same", {"Dockerfile": dockerfile})
    put(b"one", 1)
    first = ocibuild.build(folder)
    put(b"one", 2)
    repository.git("commit", "--allow-empty", "--message", "nothing")
    again = ocibuild.build(folder)
    assert again.image_id == first.image_id
    assert again.ran("ADD") == again.ran("RUN") == []
    put(b"two", 3)
    assert len(ocibuild.build(folder).ran("RUN")) == 1


def test_a_checksum_needs_no_network_once_the_file_is_here(ocibuild: Program, busybox_base: str, web: Web) -> None:
    url = web.put("/f", b"one")
    checksum = Digest.of(b"one")
    folder = ocibuild.context(
        "sum", {"Dockerfile": f"FROM {busybox_base}\nADD --checksum={checksum} {url} /x/f\n{SHOW}"}
    )
    first = ocibuild.build(folder)
    del web.pages["/f"]
    assert ocibuild.build(folder).image_id == first.image_id
    assert ocibuild.build(folder, "--no-cache").output == ["600:0 ./f one"]
    assert len(web.seen) == 1


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("ADD SERVER/missing /x", "Dockerfile:2: SERVER/missing: 404 Not Found (check the URL)"),
        (f"ADD --checksum={Digest.of(b'x')} SERVER/f /x", "SERVER/f: its digest is"),
        ("ADD SERVER/git/none.git /x", "SERVER/git/none.git: git failed"),
        ("ADD SERVER/git/app.git#none /x", "SERVER/git/app.git: there is no 'none'"),
        ("ADD --checksum=0123 SERVER/git/app.git /x", "not 0123"),
        ("ADD SERVER/git/app.git?depth=1 /x", "unknown query parameter 'depth'"),
        ("ADD SERVER/git/app.git#--upload-pack=touch${IFS}/tmp/x /x", "there is no"),
    ],
)
def test_what_cannot_be_had_is_told_with_its_place(
    ocibuild: Program, web: Web, repository: Repository, instruction: str, message: str
) -> None:
    web.put("/f", b"one")
    url = web.url("")
    folder = ocibuild.context("bad", {"Dockerfile": f"FROM scratch\n{instruction.replace('SERVER', url)}\n"})
    built = ocibuild.try_build(folder)
    assert built.status == 1
    (line,) = built.errors
    assert message.replace("SERVER", url) in line
    assert "Dockerfile:2" in line


def test_a_git_repository(ocibuild: Program, busybox_base: str, web: Web, repository: Repository) -> None:
    url = web.url("/git/app.git")
    dockerfile = f"FROM {busybox_base}\nADD {url} /x\nADD {url}#v1:sub /x/part\nRUN test ! -e /x/.git\n{SHOW}"
    folder = ocibuild.context("git", {"Dockerfile": dockerfile})
    built = ocibuild.build(folder)
    assert built.output == ["644:0 ./one changed", "644:0 ./part/two 2", "644:0 ./sub/two 2"]
    asked = len(web.seen)
    again = ocibuild.build(folder)
    assert again.image_id == built.image_id
    assert len(web.seen) < 2 * asked  # only what the references lead to
    repository.commit({"one": "new"})
    assert "644:0 ./one new" in ocibuild.build(folder).output


def test_history_is_kept(ocibuild: Program, busybox_base: str, web: Web, repository: Repository) -> None:
    dockerfile = f"FROM {busybox_base}\nADD --keep-git-dir=true {web.url('/git/app.git')} /x\nRUN cat /x/.git/HEAD\n"
    built = ocibuild.build(ocibuild.context("kept", {"Dockerfile": dockerfile}))
    assert built.output == [repository.git("rev-parse", "HEAD")]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
@pytest.mark.parametrize("kind", ["file", "git"])
def test_a_build_that_ends_while_it_fetches_does_no_harm(
    ocibuild: Program, web: Web, repository: Repository, kind: str, end: signal.Signals
) -> None:
    source = web.put("/f", b"one") if kind == "file" else f"{web.url('/git/app.git')}#main"
    folder = ocibuild.context("ended", {"Dockerfile": f"FROM scratch\nADD {source} /\n"})
    web.hold.clear()
    process = ocibuild.start("build", folder)
    assert web.held.wait(30)
    process.send_signal(end)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == (130 if end is signal.SIGINT else -9), output
    web.hold.set()
    assert ocibuild.build(folder).ran("ADD ")
    assert os.listdir(ocibuild.store / "ingest") == []


# -- named contexts


def test_a_named_context_of_each_kind(ocibuild: Program, busybox_base: str, web: Web, repository: Repository) -> None:
    dockerfile = (
        "FROM base\nCOPY --from=folder a /x/\nCOPY --from=git sub/two /x/\nCOPY --from=image /etc/passwd /x/\n"
        f"RUN --mount=from=folder,target=/m cat /m/a > /x/mounted\n{SHOW}"
    )
    other = ocibuild.context("other", {"a": "from a folder", "hidden": "", ".dockerignore": "hidden"})
    contexts = {
        "base": f"docker-image://{busybox_base}",
        "folder": str(other),
        "git": web.url("/git/app.git#v1"),
        "image": f"docker-image://{busybox_base}",
    }
    options = [word for name, value in contexts.items() for word in ("--build-context", f"{name}={value}")]
    built = ocibuild.build(ocibuild.context("named", {"Dockerfile": dockerfile}), *options)
    lines = [line.split(" ", 2)[1:] for line in built.output if "./passwd" not in line and "./" in line]
    assert lines == [["./a", "from a folder"], ["./mounted", "from a folder"], ["./two", "2"]]


def test_a_file_behind_a_url_is_a_context(ocibuild: Program, web: Web) -> None:
    folder = ocibuild.context("file", {"Dockerfile": "FROM scratch\nCOPY --from=other context /\n"})
    built = ocibuild.build(folder, "--build-context", f"other={web.put('/name.txt', 'content')}")
    assert built.ran("COPY --from=other context /")


def test_a_layout_is_a_base_without_a_registry(ocibuild: Program, busybox_base: str) -> None:
    archive = ocibuild.user.home / "base.tar"
    made = ocibuild.context("base", {"Dockerfile": f"FROM {busybox_base}\nENV A=from-layout\nRUN echo hi > /hi\n"})
    ocibuild.build(made, "-o", f"type=oci,dest={archive}")
    folder = ocibuild.context("layout", {"Dockerfile": "FROM base\nRUN echo $A $(cat /hi)\n"})
    elsewhere = ocibuild.user.home / "second-store"
    built = ocibuild.build(folder, "--build-context", f"base=oci-layout://{archive}", root=elsewhere)
    assert built.output == ["from-layout hi"]


@pytest.mark.parametrize(
    ("option", "status", "message"),
    [
        ("x", 2, "--build-context x: not KEY=VALUE"),
        ("x=", 1, "the build context 'x' '' does not exist"),
        ("X=.", 2, "--build-context 'X': not a name"),
        ("x=/nowhere", 1, "the build context 'x' '/nowhere' does not exist"),
        ("x=oci-layout:///nowhere", 0, ""),
        ("x=target:y", 2, "target of a bake file"),
    ],
)
def test_wrong_named_contexts_are_refused(ocibuild: Program, option: str, status: int, message: str) -> None:
    folder = ocibuild.context("wrong", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    built = ocibuild.try_build(folder, "--build-context", option)
    assert built.status == status, built.stderr
    assert message in built.stderr


# -- contexts that are no folder


def tar(files: Mapping[str, str], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content.startswith("-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, content.removeprefix("-> ")
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def from_stdin(ocibuild: Program, content: bytes, *words: str) -> Built:
    path = ocibuild.user.home / "stdin"
    path.write_bytes(content)
    ocibuild.user.give(path)
    done = ocibuild.user.run(
        "sh", "-c", 'exec ocibuild build --progress plain "$@" - < stdin', "sh", *words, cwd=ocibuild.user.home
    )
    return Built(done.returncode, done.stdout, done.stderr)


FILES = {
    "Dockerfile": "FROM scratch\nCOPY a /\n",
    "other/Docker": "FROM scratch\nCOPY a b /\n",
    "other/Docker.dockerignore": "a",
    "a": "A",
    "b": "B",
}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_on_standard_input(ocibuild: Program, mode: str) -> None:
    built = from_stdin(ocibuild, tar(FILES, mode))
    assert built.status == 0, built.stderr
    assert built.ran("COPY a /")


def test_a_dockerfile_inside_of_a_tar(ocibuild: Program) -> None:
    built = from_stdin(ocibuild, tar(FILES), "-f", "other/Docker")
    assert built.status == 1
    assert "other/Docker:2: " in built.stderr  # its own rules leave a out


def test_a_dockerfile_on_standard_input_has_no_files(ocibuild: Program) -> None:
    assert from_stdin(ocibuild, b"FROM scratch\nLABEL a=b\n").status == 0
    built = from_stdin(ocibuild, b"FROM scratch\nCOPY stdin /\n")
    assert built.status == 1
    assert "Dockerfile:2" in built.stderr


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"", (), "standard input is empty"),
        (b"FROM scratch\n", ("-f", "x"), "standard input is no tar, so it is a Dockerfile"),
        (b"FROM scratch\n", ("-f", "-"), "cannot both be standard input"),
        (tar({"a": ""}), (), "Dockerfile: no such Dockerfile in the build context"),
        (tar({"Dockerfile": "-> /etc/passwd"}), (), "Dockerfile: no such Dockerfile in the build context"),
        (tar({"Dockerfile/x": ""}), (), "Dockerfile: this is no Dockerfile"),
        (tar({"Dockerfile": "-> Dockerfile"}), (), "Dockerfile: this is no Dockerfile"),
        (tar({"../../escape": "", "Dockerfile": "FROM scratch\nCOPY escape /\n"})[:700], (), "cannot be unpacked"),
    ],
    ids=["empty", "twice", "both", "no file", "link out", "folder", "loop", "damaged"],
)
def test_standard_input_that_makes_no_sense(
    ocibuild: Program, content: bytes, words: tuple[str, ...], message: str
) -> None:
    built = from_stdin(ocibuild, content, *words)
    assert built.status in (1, 2)
    assert message in built.stderr


def test_a_url_gives_a_tar_or_a_dockerfile(ocibuild: Program, web: Web) -> None:
    assert ocibuild.build(web.put("/context.tar.gz", tar(FILES, "w:gz"))).ran("COPY a /")
    assert ocibuild.build(web.put("/Dockerfile", "FROM scratch\nCOPY context /\n")).ran("COPY context /")
    failed = ocibuild.try_build(web.url("/missing"))
    assert (failed.status, failed.errors) == (1, [f"ocibuild: {web.url('/missing')}: 404 Not Found (check the URL)"])


def test_a_git_repository_is_a_context(ocibuild: Program, web: Web, repository: Repository) -> None:
    repository.commit({"Dockerfile": FILES["Dockerfile"], "a": "A", "part/Dockerfile": "FROM scratch\nCOPY . /\n"})
    url = web.url("/git/app.git")
    assert ocibuild.build(url).ran("COPY a /")
    assert ocibuild.build(f"{url}#main:part").ran("COPY . /")
    assert ocibuild.build(url, "-f", "part/Dockerfile").ran("COPY . /")
    refused = ocibuild.try_build(f"{url}?x=1")
    assert refused.status == 2
    assert "unknown query parameter 'x'" in refused.stderr


def test_a_remote_context_leaves_nothing_behind(ocibuild: Program, web: Web) -> None:
    ocibuild.build(web.put("/context.tar", tar({"Dockerfile": "FROM scratch\nLABEL a=b\n"})))
    assert os.listdir(ocibuild.store / "snapshots") == []
