"""Odd homes: a build works there, or one line says which variable or flag makes it work."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.lab import LONELY
from tests.support.peers import require_root
from tests.support.program import Built

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.program import Program


@dataclass(frozen=True, slots=True)
class Home:
    """A place to build ``context`` in: ``folder`` is the user's own and empty, to be mounted over."""

    program: Program
    context: Path
    folder: Path

    def build(
        self, *words: str | Path, setup: str = "", before: str = "", environ: Mapping[str, str] | None = None
    ) -> Built:
        """Build in a mount namespace that ``setup``, run by root, has made odd.

        ``before`` is run by the user, in the shell that becomes ocibuild; there are no variables but those given.
        """
        account = self.program.user.account
        variables = {"PATH": f"{self.program.user.programs}:/usr/bin:/bin", **(environ or {})}
        command = ["ocibuild", *map(str, words), str(self.context)]
        user = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups"]
        if account.name.isdecimal():
            user[-1] = "--clear-groups"
        user += ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        inner = f"{before}\nexec {shlex.join(command)}"
        script = f"{setup}\nexec {shlex.join([*user, 'sh', '-euc', inner])}"
        result = subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-euc", script],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.context,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PLACE": str(self.folder), "OWNER": str(account.uid)},
        )
        return Built(result.returncode, result.stdout, result.stderr)


@pytest.fixture
def home(everywhere: Program, busybox_base: str) -> Iterator[Home]:
    require_root()
    text = f"FROM {busybox_base}\nRUN rm -r /var && mkdir /var && echo built\nCOPY file /file\n"
    context = everywhere.context("odd", {"Dockerfile": text, "file": "content"})
    folder = everywhere.user.home / "place"
    folder.mkdir(exist_ok=True)
    everywhere.user.give(folder)
    yield Home(everywhere, context, folder)
    subprocess.run(["rm", "-rf", folder], check=True)


class Odd(NamedTuple):
    """What root and the user do beforehand, and the variables there are."""

    setup: str = ""
    before: str = ""
    environ: Mapping[str, str] = {}


_PLACE = "chown $OWNER:$OWNER $PLACE"
_TMPFS = f"mount -t tmpfs none $PLACE; {_PLACE}"
_OVERLAY = """\
mount -t tmpfs none $PLACE
mkdir $PLACE/lower $PLACE/upper $PLACE/work
chown $OWNER:$OWNER $PLACE/upper
mount -t overlay -o lowerdir=$PLACE/lower,upperdir=$PLACE/upper,workdir=$PLACE/work none $PLACE
"""
_NO_RESOLV_CONF = f"""\
{_TMPFS}
mkdir $PLACE/etc
cp -a /etc/passwd /etc/group /etc/subuid /etc/subgid /etc/ld.so.cache $PLACE/etc
mount --bind $PLACE/etc /etc
"""

WORKS = {
    "no-variables": Odd(),
    "no-locale": Odd(environ={"LC_ALL": "C"}),
    "unknown-locale": Odd(environ={"LC_ALL": "xx_YY.ISO-8859-1", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "home-that-is-none": Odd(environ={"HOME": "/no/such/home", "USER": "nobody-knows"}),
    "no-folder-for-temporary-files": Odd(environ={"TMPDIR": "/no/such/folder"}),
    "temporary-files-cannot-be-written": Odd(environ={"TMPDIR": "/proc"}),
    "umask-077": Odd(before="umask 077"),
    "umask-0777": Odd(before="umask 0777"),
    "few-descriptors": Odd(before="ulimit -n 64"),
    "no-resolv.conf": Odd(setup=_NO_RESOLV_CONF),
    "little-shared-memory": Odd(setup="mount -t tmpfs -o size=64m,mode=1777 none /dev/shm"),
    "read-only-shared-memory": Odd(setup="mount -t tmpfs -o ro none /dev/shm"),
    "read-only-root": Odd(setup=f"mount -o remount,ro,bind /; {_TMPFS}"),
    "tmpfs": Odd(setup=_TMPFS),
    "tmpfs-without-programs": Odd(setup=f"mount -t tmpfs -o noexec,nosuid,nodev none $PLACE; {_PLACE}"),
    "current-directory-is-gone": Odd(setup=_TMPFS, before="mkdir $HOME/gone; cd $HOME/gone; rmdir $HOME/gone"),
    "current-directory-is-read-only": Odd(before="cd /proc/self"),
}


@pytest.mark.parametrize("odd", WORKS.values(), ids=WORKS)
def test_a_build_works(odd: Odd, home: Home) -> None:
    environ = {"HOME": str(home.folder), **odd.environ} if "HOME" in odd.before else odd.environ
    store = home.folder / "store"
    built = home.build(
        "--root", store, "build", "--progress=plain", setup=odd.setup, before=odd.before, environ=environ
    )
    assert built.status == 0, built.stderr
    assert built.output == ["built"]
    assert not built.errors


_REFUSED = {
    "home-cannot-be-written": (Odd(environ={"HOME": "/proc"}), (), "--root"),
    "read-only-root": (Odd(setup="mount -o remount,ro,bind /", environ={"HOME": "/home"}), (), "--root"),
    "no-null-device": (Odd(setup="mount -t tmpfs none /dev"), ("--root", "/tmp/no"), "/dev/null"),
    "no-descriptors": (Odd(before="ulimit -n 10", setup=_TMPFS, environ={"HOME": "PLACE"}), (), "ulimit -n"),
    "relative-store-in-no-directory": (
        Odd(setup=_TMPFS, before="mkdir $HOME/gone; cd $HOME/gone; rmdir $HOME/gone", environ={"HOME": "PLACE"}),
        ("--root", "store"),
        "current directory",
    ),
}


@pytest.mark.parametrize(("odd", "words", "part"), _REFUSED.values(), ids=_REFUSED)
def test_one_line_says_what_to_change(odd: Odd, words: tuple[str, ...], part: str, home: Home) -> None:
    environ = {name: value.replace("PLACE", str(home.folder)) for name, value in odd.environ.items()}
    _check_line(home.build(*words, "build", setup=odd.setup, before=odd.before, environ=environ), part)


def _check_line(built: Built, part: str) -> None:
    assert built.status in (1, 2), built.stderr
    (error,) = built.errors
    assert part in error
    assert "Traceback" not in built.stderr


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}], ids=["unset", "empty", "relative"])
def test_user_without_a_home_is_asked_for_a_store(environ: dict[str, str], home: Home) -> None:
    """With an entry in passwd(5), that has the home."""
    account = home.program.user.account
    if account.name.isdecimal():
        built = home.build("build", environ=environ)
        assert built.status == 2
        _check_line(built, "--root")
    else:
        entry = f"{account.name}:x:{account.uid}:{account.gid}::{home.folder}:/bin/sh"
        setup = f"{_TMPFS}; echo {entry} > $PLACE/passwd; mount --bind $PLACE/passwd /etc/passwd"
        built = home.build("build", setup=setup, environ=environ)
        assert built.status == 0, built.stderr


@pytest.mark.parametrize("setup", [_OVERLAY, f"mount -t ramfs none $PLACE; {_PLACE}"], ids=["overlay", "no-attributes"])
def test_store_on_a_file_system_that_overlay_cannot_use_is_copied_in(setup: str, home: Home) -> None:
    """But owners cannot be recorded, as one ID needs it, where there are no attributes."""
    built = home.build("--root", home.folder / "store", "build", "--progress=plain", setup=setup)
    if built.status:
        assert home.program.user.account.uid == LONELY
        assert "cannot record owners" in built.errors[0]
        _check_line(built, "--root")
    else:
        assert built.output == ["built"]
        assert "--snapshotter copy" in built.stderr
