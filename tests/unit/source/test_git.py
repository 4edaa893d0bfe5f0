from __future__ import annotations

import os
import shutil
import stat
import subprocess
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import Interrupted, SourceError
from ocibuild.fs import Root
from ocibuild.graph import GitReference, GitTree
from ocibuild.source.git import Commit, GitSource, check_commit
from ocibuild.source.gitprogram import GitProgram
from ocibuild.store import Store
from tests.support.peers import require_peer
from tests.support.web import Repository, Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {"one": "1\n", "sub/deep/two": "2\n", "run.sh": "#!/bin/sh\n"}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    require_peer("git")
    with serve_web(tmp_path / "repositories") as web:
        yield web


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    require_peer("git")
    made = Repository.make(tmp_path / "repositories/app.git")
    (made.folder / "link").symlink_to("one")
    made.commit(FILES)
    (made.folder / "run.sh").chmod(0o755)
    made.commit({}, "executable")
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def source(store: Store) -> GitSource:
    return GitSource(GitProgram(os.environ, f"{store.root}/git/known_hosts"), store)


def reference(web: Web, more: str = "", *, path: str = "/git/app.git") -> GitReference:
    found = GitReference.parse(web.url(path) + more)
    assert found is not None
    return found


def checked_out(source: GitSource, store: Store, tree: GitTree) -> dict[str, str]:
    """Return the files of a checkout with their kinds, modes and contents, without what is in .git."""
    commit = source.find(tree.reference)
    with store.snapshots.begin() as active:
        source.check_out(tree, commit, active)
        with Root.open(active.upper) as root:
            return {name: described(root, name, status) for name, status in root.walk() if not is_history(name)}


def is_history(name: str) -> bool:
    return name == ".git" or name.startswith(".git/")


def described(root: Root, name: str, status: os.stat_result) -> str:
    kind = stat.filemode(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return f"{kind} -> {root.readlink(name)}"
    if stat.S_ISDIR(status.st_mode):
        return kind
    with open(root.open_file(name), encoding="utf-8") as file:
        return f"{kind} {file.read()!r}"


EXPECTED = {
    "link": "lrwxrwxrwx -> one",
    "one": "-rw-r--r-- '1\\n'",
    "run.sh": "-rwxr-xr-x '#!/bin/sh\\n'",
    "sub": "drwxr-xr-x",
    "sub/deep": "drwxr-xr-x",
    "sub/deep/two": "-rw-r--r-- '2\\n'",
}


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("", "refs/heads/main"),
        ("#main", "refs/heads/main"),
        ("#heads/main", "refs/heads/main"),
        ("#refs/heads/main", "refs/heads/main"),
        ("?branch=main", "refs/heads/main"),
        ("#light", "refs/tags/light"),
        ("?tag=light", "refs/tags/light"),
        ("#notes", "refs/tags/notes"),
        ("#both", "refs/heads/both"),
        ("?tag=both", "refs/tags/both"),
        ("#feature/x", "refs/heads/feature/x"),
    ],
)
def test_a_reference_leads_to_a_commit(
    source: GitSource, repository: Repository, web: Web, ref: str, name: str
) -> None:
    repository.git("tag", "both")
    repository.git("tag", "light")
    repository.git("tag", "--annotate", "--message=notes", "notes")
    repository.commit({"later": ""})
    repository.git("branch", "both")
    repository.git("branch", "feature/x")
    found = source.find(reference(web, ref))
    assert found.name == name
    assert found.object == repository.git("rev-parse", name)
    assert found.hash == repository.git("rev-parse", f"{name}^{{commit}}")


def test_a_hash_is_taken_without_asking(source: GitSource) -> None:
    wanted = "0123456789" * 4
    assert source.find(GitReference("https://nowhere.invalid/r.git", wanted)) == Commit(wanted, wanted)


@pytest.mark.parametrize("ref", ["#missing", "#0123abc", "#mai", "#*", "?tag=main"])
def test_a_reference_that_is_not_there_is_named(source: GitSource, repository: Repository, web: Web, ref: str) -> None:
    with pytest.raises(SourceError, match=r"there is no '.*a branch, a tag, or all of a commit's hash"):
        source.find(reference(web, ref))


@pytest.mark.parametrize("ref", ["", "#main", "#HASH", "#notes"])
def test_a_checkout_has_the_files_of_the_commit(
    source: GitSource, store: Store, repository: Repository, web: Web, ref: str
) -> None:
    repository.git("tag", "--annotate", "--message=notes", "notes")
    ref = ref.replace("HASH", repository.git("rev-parse", "HEAD"))
    assert checked_out(source, store, GitTree(reference(web, ref))) == EXPECTED


def test_an_older_commit_is_found_by_its_hash(
    source: GitSource, store: Store, repository: Repository, web: Web
) -> None:
    old = repository.git("rev-parse", "HEAD")
    repository.commit({"one": "another"})
    assert checked_out(source, store, GitTree(reference(web)))["one"] == "-rw-r--r-- 'another'"
    assert checked_out(source, store, GitTree(reference(web, f"#{old}"))) == EXPECTED


def test_a_server_without_git_of_its_own_will_do(
    source: GitSource, store: Store, repository: Repository, web: Web, tmp_path: Path
) -> None:
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    subprocess.run(["git", "update-server-info"], cwd=tmp_path / "bare", check=True)
    for path in (tmp_path / "bare").rglob("*"):
        if path.is_file():
            web.put(f"/plain.git/{path.relative_to(tmp_path / 'bare')}", path.read_bytes())
    web.pages["/plain.git/info/refs?service=git-upload-pack"] = web.pages["/plain.git/info/refs"]
    assert checked_out(source, store, GitTree(reference(web, path="/plain.git"))) == EXPECTED


def test_a_directory_of_the_repository_becomes_the_root(
    source: GitSource, store: Store, repository: Repository, web: Web
) -> None:
    assert checked_out(source, store, GitTree(reference(web, "#main:sub/"))) == {
        "deep": "drwxr-xr-x",
        "deep/two": "-rw-r--r-- '2\\n'",
    }


@pytest.mark.parametrize("part", ["missing", "one", "link/x", "out"], ids=["missing", "file", "below a file", "out"])
def test_a_directory_that_is_not_there_is_named(
    source: GitSource, store: Store, repository: Repository, web: Web, part: str
) -> None:
    (repository.folder / "out").symlink_to("/etc/ssl")
    repository.commit({})
    with pytest.raises(SourceError, match=f"there is no directory '{part}' in 'main'"):
        checked_out(source, store, GitTree(reference(web, f"#main:{part}")))


def test_history_is_kept_where_it_is_asked_for(
    source: GitSource, store: Store, repository: Repository, web: Web
) -> None:
    repository.git("tag", "--annotate", "--message=notes", "notes")
    tree = GitTree(replace(reference(web, "#notes"), remote=web.url("/git/app.git")), keep_git_dir=True)
    with store.snapshots.begin() as active:
        source.check_out(tree, source.find(tree.reference), active)
        shutil.rmtree(os.path.join(store.root, "git"))  # it stands alone

        def git(*words: str) -> str:
            command = ["git", "-c", "safe.directory=*", *words]
            return subprocess.run(command, cwd=active.upper, capture_output=True, text=True, check=True).stdout.strip()

        assert git("status", "--porcelain") == ""
        assert git("rev-list", "--count", "HEAD") == "1"
        assert git("describe", "--tags") == "notes"
        assert git("config", "remote.origin.url") == web.url("/git/app.git")
        assert git("rev-parse", "HEAD") == repository.git("rev-parse", "HEAD")


def test_submodules_come_too_unless_they_are_not_wanted(
    source: GitSource, store: Store, repository: Repository, web: Web, tmp_path: Path
) -> None:
    library = Repository.make(tmp_path / "repositories/lib.git")
    library.commit({"lib": "lib"})
    repository.git("submodule", "--quiet", "add", "../lib.git", "vendor/lib")
    repository.commit({})
    with_them = checked_out(source, store, GitTree(reference(web)))
    assert {name: with_them[name] for name in with_them if name.startswith("vendor/")} == {
        "vendor/lib": "drwxr-xr-x",
        "vendor/lib/lib": "-rw-r--r-- 'lib'",
    }
    without = checked_out(source, store, GitTree(reference(web, "?submodules=false")))
    assert [name for name in without if name.startswith("vendor")] == ["vendor", "vendor/lib"]


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::sh -c touch% /tmp/pwned"])
def test_a_submodule_cannot_reach_into_this_machine(
    source: GitSource, store: Store, repository: Repository, web: Web, url: str
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},evil")
    repository.commit({".gitmodules": f'[submodule "evil"]\n\tpath = evil\n\turl = {url}\n'})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},evil")
    repository.git("commit", "--quiet", "--message=evil")
    with pytest.raises(SourceError, match="git failed"):
        checked_out(source, store, GitTree(reference(web)))


def strange_commit(repository: Repository, *entries: tuple[str, str, bytes]) -> str:
    """Commit a tree with these entries (mode, name, content of a file or link), as no git would make it."""
    tree = b""
    for mode, name, content in entries:
        if mode == "40000":
            blob = repository.git_object("blob", content)
            entry = repository.git_object("tree", b"100755 post-checkout\0" + bytes.fromhex(blob))
        else:
            entry = repository.git_object("blob", content)
        tree += f"{mode} {name}\0".encode() + bytes.fromhex(entry)
    made = repository.git("commit-tree", "-m", "strange", repository.git_object("tree", tree))
    repository.git("update-ref", "refs/heads/strange", made)
    return made


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT", "git~1"])
@pytest.mark.parametrize("mode", ["100644", "40000", "120000"], ids=["file", "folder", "link"])
def test_strange_names_are_refused(
    source: GitSource, store: Store, repository: Repository, web: Web, mode: str, name: str
) -> None:
    strange_commit(repository, (mode, name, b"../../escaped"))
    with pytest.raises(SourceError, match="git failed"):
        checked_out(source, store, GitTree(reference(web, "#strange"), keep_git_dir=True))


def test_a_link_does_not_lead_a_checkout_out(
    source: GitSource, store: Store, repository: Repository, web: Web, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    strange_commit(repository, ("120000", "d", str(tmp_path / "outside").encode()), ("40000", "d", b"#!/bin/sh\n"))
    with suppress(SourceError):
        checked_out(source, store, GitTree(reference(web, "#strange")))
    assert list((tmp_path / "outside").iterdir()) == []


def test_nothing_of_a_users_configuration_counts(
    store: Store, repository: Repository, web: Web, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(f'[url "{web.url("/elsewhere/")}"]\n\tinsteadOf = {web.url("/git/")}\n')
    hook = tmp_path / "template/hooks/post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    environ = {**os.environ, "HOME": str(tmp_path / "home"), "GIT_TEMPLATE_DIR": str(tmp_path / "template")}
    source = GitSource(GitProgram(environ, f"{store.root}/git/known_hosts"), store)
    assert checked_out(source, store, GitTree(reference(web))) == EXPECTED
    assert not (tmp_path / "hooked").exists()


def test_a_password_is_used_and_never_shown(source: GitSource, store: Store, repository: Repository, web: Web) -> None:
    web.password = "s3cr3t"
    remote = f"http://me:s3cr3t@{web.address}/git/app.git"
    assert checked_out(source, store, GitTree(GitReference(remote))) == EXPECTED
    with pytest.raises(SourceError) as caught:
        source.find(GitReference(f"http://me:wr0ng@{web.address}/git/app.git"))
    assert "wr0ng" not in str(caught.value)
    files = [path for path in Path(store.root, "git").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cr3t" in path.read_bytes()]


@pytest.mark.parametrize("scheme", ["ssh", "git"])
def test_a_password_that_others_could_see_is_refused(source: GitSource, scheme: str) -> None:
    found = GitReference.parse(f"{scheme}://me:s3cr3t@127.0.0.1:1/app.git")
    assert found is not None
    with pytest.raises(SourceError, match=f"^{scheme}://127.0.0.1:1: a URL for {scheme} can have no password"):
        source.find(found)


@pytest.mark.parametrize("suffix", ["", ".HOST"])
@pytest.mark.parametrize("kind", ["HEADER", "TOKEN"])
def test_a_secret_of_the_build_may_say_who_we_are(
    store: Store, repository: Repository, web: Web, kind: str, suffix: str
) -> None:
    web.user, web.password = "x-access-token", "s3cr3t"
    name = f"GIT_AUTH_{kind}{suffix.replace('HOST', web.address)}"
    content = b"s3cr3t\n" if kind == "TOKEN" else b"Basic " + b64encode(b"x-access-token:s3cr3t")
    program = GitProgram(os.environ, f"{store.root}/git/known_hosts")
    source = GitSource(program, store, {name: content, "GIT_AUTH_TOKEN.other": b"wrong"}.get)
    assert checked_out(source, store, GitTree(reference(web))) == EXPECTED


def test_what_is_here_is_not_fetched_again(source: GitSource, store: Store, repository: Repository, web: Web) -> None:
    tree = GitTree(reference(web, f"#{repository.git('rev-parse', 'HEAD')}"))
    checked_out(source, store, tree)
    web.seen.clear()
    assert checked_out(source, store, tree) == EXPECTED
    assert web.seen == []


def test_what_a_killed_git_has_left_is_overcome(
    source: GitSource, store: Store, repository: Repository, web: Web
) -> None:
    checked_out(source, store, GitTree(reference(web)))
    (folder,) = (path for path in os.scandir(os.path.join(store.root, "git")) if path.is_dir())
    for name in ("shallow.lock", "config.lock", "HEAD.lock", "objects/pack/tmp_pack_x"):
        open(os.path.join(folder.path, name), "w").close()
    repository.commit({"three": "3"})
    assert "three" in checked_out(source, store, GitTree(reference(web)))
    assert not os.path.exists(os.path.join(folder.path, "objects/pack/tmp_pack_x"))
    os.unlink(os.path.join(folder.path, "HEAD"))
    repository.commit({"four": "4"})
    assert "four" in checked_out(source, store, GitTree(reference(web)))


def test_a_remote_that_fails_costs_nothing_of_what_is_here(
    source: GitSource, store: Store, repository: Repository, web: Web
) -> None:
    tree = GitTree(reference(web, f"#{repository.git('rev-parse', 'HEAD')}"))
    checked_out(source, store, tree)
    with pytest.raises(SourceError):
        checked_out(source, store, GitTree(reference(web, f"#{'0123' * 10}")))
    web.repositories = None
    assert checked_out(source, store, tree) == EXPECTED


def test_an_unreachable_remote_is_one_line(source: GitSource, web: Web) -> None:
    with pytest.raises(SourceError) as caught:
        source.find(GitReference("http://127.0.0.1:1/app.git"))
    assert str(caught.value).startswith("http://127.0.0.1:1/app.git: git failed: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"app.git: git failed: .*not found"):
        source.find(reference(web))


def test_an_unreachable_ssh_server_is_said_to_be_that(source: GitSource) -> None:
    require_peer("ssh")
    with pytest.raises(SourceError, match=r"git failed: connect to host 127\.0\.0\.1 port 1: Connection refused"):
        source.find(GitReference("ssh://git@127.0.0.1:1/app.git"))


def test_a_machine_without_git_is_told_what_to_install(store: Store) -> None:
    source = GitSource(GitProgram({"PATH": "/nonexistent"}, "known_hosts"), store)
    with pytest.raises(SourceError, match=r"git is not on this machine \(install the package git\)"):
        source.find(GitReference("http://127.0.0.1:1/app.git"))


def test_nothing_is_run_after_a_stop(source: GitSource, web: Web) -> None:
    source.stop()
    with pytest.raises(Interrupted):
        source.find(reference(web))


TAGGED = Commit("aa11" * 10, "bb22" * 10, "refs/tags/v1")


@pytest.mark.parametrize("beginning", [None, "", "bb22", "bb22" * 10, "aa1", "aa11" * 10])
def test_a_checksum_may_be_the_beginning_of_a_hash(beginning: str | None) -> None:
    check_commit(GitReference("https://h/r.git", "v1"), beginning, TAGGED)


@pytest.mark.parametrize(
    ("beginning", "message"),
    [("cc", "'v1' is bb22.*not cc"), ("b22", "not b22"), ("xyz", "'xyz' is no hash")],
)
def test_a_wrong_checksum_is_refused(beginning: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        check_commit(GitReference("https://h/r.git", "v1"), beginning, TAGGED)
