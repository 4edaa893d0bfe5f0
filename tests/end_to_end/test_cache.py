"""What counts for the cache of all that the command line, the surroundings of a build and a registry can change.

The rules of single steps are in ``tests/unit/solver/test_rules.py``.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from demo.upload import upload_image
from tests.support.bases import BUSYBOX_CONFIG, busybox_tree
from tests.support.peers import require_peer, require_root
from tests.support.program import program_of_ordinary_user, program_of_root

if TYPE_CHECKING:
    from pathlib import Path

    from ocibuild.oci import Digest
    from tests.support.program import Program

MANY = 20_000
_OF_A_BUILD = 4_000
"""More calls than a build makes that has nothing to look at."""
_SETTLED_SECONDS = 2.1
"""Before a digest is remembered, a file must have been as it is for so long."""
# where anything runs again, the image is another one
TEXT = """\
FROM {base} AS first
WORKDIR /made
RUN cat /proc/sys/kernel/random/uuid > uuid
FROM {base}
COPY . /files
COPY --from=first /made /made
RUN --mount=type=secret,id=token,env=TOKEN cat /made/uuid /proc/sys/kernel/random/uuid > /two
"""


@pytest.fixture(scope="module")
def context(shared: Program, busybox_base: str) -> Path:
    files: dict[str, str | bytes] = {"Dockerfile": TEXT.format(base=busybox_base), "file": "one", "d/other": "two"}
    return shared.context("cached", files)


@pytest.fixture(scope="module")
def first(shared: Program, context: Path) -> str:
    """Build, and return the image ID."""
    return shared.check("build", "-q", context).strip()


WORDS: dict[str, tuple[str, ...]] = {
    "rawjson": ("--progress", "rawjson"),
    "quiet": ("--progress", "quiet"),
    "one job": ("--jobs", "1"),
    "nine jobs": ("--jobs", "9"),
    "name": ("-t", "cached:1"),
    "copies": ("--snapshotter", "copy"),
    "executor": ("--executor", "chroot"),
    "proxy": ("--build-arg", "HTTP_PROXY=http://192.0.2.1:3128", "--build-arg", "no_proxy=example.org"),
    "secret": ("--secret", "id=token,env=HOME"),
    "another secret": ("--secret", "id=token,src=/etc/passwd"),
    "pull": ("--pull",),
    "argument": ("--build-arg", "NOBODY=asks"),
    "annotation": ("--annotation", "a=b"),
    "allowed": ("--allow", "network.host"),
    "network": ("--network", "default"),
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_nothing_runs_again_with_other_words(
    shared: Program, context: Path, first: str, words: tuple[str, ...]
) -> None:
    assert shared.check("build", *words, context).strip() == first


ENVIRONMENTS = {
    "jobs": {"OCIBUILD_BUILD_JOBS": "1"},
    "progress": {"OCIBUILD_BUILD_PROGRESS": "plain"},
    "snapshotter": {"OCIBUILD_BUILD_SNAPSHOTTER": "copy"},
    "debug": {"OCIBUILD_DEBUG": "1"},
    "configuration": {"OCIBUILD_CONFIG": "{home}/config.toml"},
    "locale": {"LANG": "C", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
    "proxies": {"HTTP_PROXY": "http://192.0.2.1:3128", "https_proxy": "http://192.0.2.1:3128", "NO_PROXY": "*"},
    "credentials": {"DOCKER_CONFIG": "/nowhere", "REGISTRY_AUTH_FILE": "/dev/null"},
    "names": {"USER": "somebody", "LOGNAME": "somebody", "HOSTNAME": "somewhere"},
    "path": {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    "temporary files": {"TMPDIR": "/var/tmp"},
    "a variable that an argument could be": {"VERSION": "2", "BASE": "other"},
}


@pytest.mark.parametrize("environ", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_nothing_runs_again_in_another_environment(
    shared: Program, context: Path, first: str, environ: dict[str, str]
) -> None:
    (shared.user.home / "config.toml").write_text("")
    environ = {name: value.format(home=shared.user.home) for name, value in environ.items()}
    result = shared.user.run(shared.user.programs / "ocibuild", "build", "-q", context, environ=environ)
    assert (result.returncode, result.stdout.strip()) == (0, first), result.stderr


@pytest.mark.parametrize("umask", ["000", "027", "077"])
def test_nothing_runs_again_with_another_umask_and_nothing_else_is_made_with_it(
    shared: Program, context: Path, first: str, umask: str
) -> None:
    script = f'umask {umask}; exec ocibuild "$@"'
    result = shared.user.run("sh", "-c", script, "sh", "build", "-q", context)
    assert (result.returncode, result.stdout.strip()) == (0, first), result.stderr
    other = shared.user.home / f"store-{umask}"
    result = shared.user.run("sh", "-c", script, "sh", "--root", other, "build", "-q", "-t", "masked:1", context)
    assert result.returncode == 0, result.stderr
    shown = shared.check(
        "--root", other, "run", "masked:1", "stat", "-c", "%a", "/made", "/made/uuid", "/files/d", "/two"
    )
    assert shown.split() == ["755", "644", "755", "644"]


def test_nothing_runs_again_from_another_place(shared: Program, context: Path, first: str) -> None:
    """A copy of the context, with other owners and times; a path that is relative; a Dockerfile from elsewhere."""
    copy = shared.user.home / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(context, copy, copy_function=shutil.copyfile)
    if os.geteuid() == 0:
        os.chown(copy / "file", 1234, 5678)
    assert shared.check("build", "-q", copy).strip() == first
    relative = shared.user.run("ocibuild", "build", "-q", ".", cwd=context)
    assert relative.stdout.strip() == first
    elsewhere = shared.user.home / "Dockerfile.elsewhere"
    shutil.copyfile(context / "Dockerfile", elsewhere)
    assert shared.check("build", "-q", "-f", elsewhere, context).strip() == first
    given = shared.run("build", "-q", "-f", "-", context, stdin=elsewhere.read_text())
    assert given.stdout.strip() == first


def test_nothing_runs_again_where_the_same_files_come_in_a_tar(shared: Program, context: Path, first: str) -> None:
    archive = shared.user.home / "context.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(context.rglob("*")):
            member = tar.gettarinfo(path, os.fspath(path.relative_to(context)))
            member.uid, member.gid, member.mtime = 77, 88, 5
            tar.addfile(member, io.BytesIO(path.read_bytes()) if path.is_file() else None)
    result = shared.user.run("sh", "-c", f"exec ocibuild build -q - < {archive}")
    assert (result.returncode, result.stdout.strip()) == (0, first), result.stderr


# -- bases in a registry


def _push(reference: str, command: str, **files: str) -> Digest:
    """Push busybox with a command that shows in nothing but the config; return the manifest's digest."""
    tree = busybox_tree()
    for name, content in files.items():
        tree.add_text(name, content)
    tar = io.BytesIO()
    tree.write(tar.write)
    tar.seek(0)
    return upload_image(reference, tar, replace(BUSYBOX_CONFIG, cmd=(command,)), created_by=command).digest


_ON = "FROM {base}\nRUN ls / > /list\nCOPY file /\n"


def test_nothing_runs_again_on_a_base_that_was_pushed_anew(shared: Program, registry: str) -> None:
    """With another manifest under the same tag, and with one more under another."""
    one, two = (f"{registry}/cached/{shared.user.account.name}:{tag}" for tag in (1, 2))
    manifest = _push(one, "one")
    folder = shared.context("pushed", {"Dockerfile": _ON.format(base=one), "file": "one"})
    first = shared.build(folder, "-t", "pushed:1")
    assert first.ran("RUN")
    assert _push(one, "two") != manifest
    again = shared.build(folder, "--pull", "-t", "pushed:1")
    assert (again.cached("RUN"), again.cached("COPY")) == (first.ran("RUN"), first.ran("COPY"))
    assert '"two"' in shared.check("inspect", "pushed:1")
    _push(two, "three")
    (folder / "Dockerfile").write_text(_ON.format(base=two))
    other = shared.build(folder)
    assert (other.cached("RUN"), other.cached("COPY")) == (first.ran("RUN"), first.ran("COPY"))


def test_all_runs_again_on_a_base_with_other_layers(shared: Program, registry: str) -> None:
    base = f"{registry}/moved/{shared.user.account.name}:1"
    _push(base, "one")
    folder = shared.context("moved", {"Dockerfile": _ON.format(base=base).replace("ls", "ls -a"), "file": "two"})
    first = shared.build(folder)
    assert (len(first.ran("RUN")), len(first.ran("COPY"))) == (1, 1)
    _push(base, "one", more="more")
    assert not shared.build(folder).ran()
    again = shared.build(folder, "--pull")
    assert (again.ran("RUN"), again.ran("COPY")) == (first.ran("RUN"), first.ran("COPY"))


# -- what is looked at of a context


def test_a_file_that_is_as_it_was_costs_one_look_and_what_is_excluded_none() -> None:
    """System calls that name a file, counted from outside; of a directory that is excluded not even its own."""
    files: dict[str, str | bytes] = {f"files/d{n % 9}/f{n:05}": str(n) for n in range(MANY)}
    excluded = {f"files/node_modules/x/g{n}": "x" for n in range(100)}
    text = "FROM scratch\nCOPY files /files\n"
    with program_of_root() as program:
        folder = program.context(
            "many", {"Dockerfile": text, ".dockerignore": "**/node_modules\n", **files, **excluded}
        )
        time.sleep(_SETTLED_SECONDS)
        first = program.build(folder)
        trace = program.user.home / "trace"
        words = (
            "strace",
            "--follow-forks",
            "--quiet=all",
            "--trace=%file",
            "--output",
            trace,
            "ocibuild",
            "build",
            "-q",
        )
        assert require_peer("strace")
        result = program.user.run(*words, folder)
        assert result.stdout.strip() == first.image_id, result.stderr
        calls = trace.read_text().splitlines()
    looks = Counter(found[0] for call in calls if (found := re.search(r'"f\d{5}"', call)))
    assert (len(looks), set(looks.values())) == (MANY, {1})
    assert not [call for call in calls if "node_modules" in call or re.search(r'"g\d+"', call)]
    assert not [call for call in calls if re.search(r'open\w*\(.*"f\d{5}"', call)]
    assert len(calls) < MANY + _OF_A_BUILD


def test_what_is_excluded_is_not_opened(busybox_base: str) -> None:
    """Files and a directory of somebody else's that are closed to the user, and a pipe that nobody writes to."""
    require_root()
    with program_of_ordinary_user() as program:
        folder = program.context("closed", {"Dockerfile": f"FROM {busybox_base}\nCOPY . /all\n", "open": "open"})
        (folder / "closed").mkdir()
        (folder / "closed/inside").touch()
        for name, mode in (("closed", 0), ("secret", 0)):
            (folder / name).touch()
            (folder / name).chmod(mode)
        os.mkfifo(folder / "pipe", 0)
        for number, (rules, message) in enumerate(_RULES.items()):
            (folder / ".dockerignore").write_text(rules)
            built = program.try_build(folder, "-t", f"closed:{number}")
            assert (built.status, message in built.stderr) == (int(bool(message)), True), built.stderr
        assert program.check("run", f"closed:{len(_RULES) - 1}", "ls", "/all").split() == ["Dockerfile", "open", "pipe"]


_RULES = {
    "": "cannot be read",
    "closed\n": "'secret' cannot be read: Permission denied (make it readable, or exclude it in .dockerignore)",
    "secret\n": "'closed' cannot be read",
    "closed\nsecret\n": "",
}
