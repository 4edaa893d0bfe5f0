"""Small builds made by a grammar: a context, a Dockerfile over it, and edits of both between one build and the next."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

BASE = "base:1"
SEE = """\
#!/bin/sh
{
    env | sort; id; pwd; umask; hostname
    find /a /b /d /ln /w /x /p /m 2>&1 | sort | while read -r name; do
        stat -c "%F %a %u %g %N" "$name"
        if [ -f "$name" ]; then cat "$name"; fi
    done
} > "/tmp/$$" 2>&1
cat "/tmp/$$" >> /tmp/seen
rm "/tmp/$$"
"""
"""Writes down all that a step can see, so a result that is of another step is known by that."""
BASE_TEXT = """\
FROM scratch
COPY busybox see /bin/
SHELL ["/bin/busybox", "sh", "-c"]
RUN ln -s busybox /bin/sh; mkdir -m 1777 /tmp /d; mkdir /etc /d/sub; echo 1 > /a; echo 2 > /d/b; ln -s d /ln; \\
    echo app:x:1000:1001::/:/bin/sh > /etc/passwd; echo app:x:1001: > /etc/group; chown 5:6 /d/b; \\
    touch /tmp/seen; chmod 666 /tmp/seen
SHELL ["/bin/sh", "-c"]
"""
"""What most stages stand on; ``busybox`` and ``see`` are in the context."""


class Write(NamedTuple):
    """A file of the context gets other bytes, or is made with its parents; ``in_secret`` keeps its size and time."""

    path: str
    content: str
    in_secret: bool = False


class Mode(NamedTuple):
    path: str
    mode: int


class Touch(NamedTuple):
    path: str


class Remove(NamedTuple):
    path: str


class Rename(NamedTuple):
    path: str
    to: str


class Symlink(NamedTuple):
    path: str
    target: str


class HardLink(NamedTuple):
    path: str
    to: str


class Ignore(NamedTuple):
    """The lines of .dockerignore."""

    patterns: tuple[str, ...]


class Argument(NamedTuple):
    """A build argument, not given where it is None."""

    name: str
    value: str | None


class Line(NamedTuple):
    """A line of the Dockerfile becomes another one, or is removed; its number is taken modulo their count."""

    number: int
    text: str | None


class Insert(NamedTuple):
    number: int
    text: str


class Swap(NamedTuple):
    """A line and the next change places."""

    number: int


FileEdit: TypeAlias = Write | Mode | Touch | Remove | Rename | Symlink | HardLink | Ignore
Edit: TypeAlias = FileEdit | Argument | Line | Insert | Swap


@dataclass(slots=True)
class Project:
    """What is built: ``context`` is a folder, the Dockerfile lies beside it."""

    context: Path
    lines: list[str]
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def edit(self, edit: Edit) -> None:
        """Do an edit, or what can be done of it."""
        match edit:
            case Argument(name, None):
                self.arguments.pop(name, None)
            case Argument(name, value) if value is not None:
                self.arguments[name] = value
            case Line() | Insert() | Swap():
                self._edit_text(edit)
            case _:
                with suppress(OSError):  # such as a file where a directory would have to be
                    _edit_file(self.context, edit)  # type: ignore[arg-type]  # what is left of the union

    def _edit_text(self, edit: Line | Insert | Swap) -> None:
        number = edit.number % len(self.lines)
        match edit:
            case Insert(_, text):
                self.lines.insert(number + 1, text)
            case Swap():
                if number + 1 < len(self.lines) and not _begins_stage(*self.lines[number : number + 2]):
                    self.lines[number : number + 2] = reversed(self.lines[number : number + 2])
            case Line(_, text):
                if not _begins_stage(self.lines[number]):
                    self.lines[number : number + 1] = [] if text is None else [text]


def _begins_stage(*lines: str) -> bool:
    return any(line.startswith("FROM") for line in lines)


def _edit_file(context: Path, edit: FileEdit) -> None:
    if isinstance(edit, Ignore):
        (context / ".dockerignore").write_text("".join(f"{pattern}\n" for pattern in edit.patterns))
        return
    path = context / edit.path
    match edit:
        case Write(_, content, in_secret):
            _write(path, _bytes_of(edit.path, content), in_secret=in_secret)
        case Mode(_, mode):
            path.chmod(mode)
        case Touch():
            os.utime(path, (5, 5), follow_symlinks=False)
        case Remove():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        case Rename(_, to):
            path.rename(context / to)
        case Symlink(_, target):
            path.symlink_to(target)
        case HardLink(_, to):
            (context / to).hardlink_to(path)


def _write(path: Path, content: bytes, *, in_secret: bool) -> None:
    if in_secret and path.is_file():
        status = path.stat()
        path.write_bytes(content.ljust(status.st_size)[: status.st_size])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _bytes_of(path: str, content: str) -> bytes:
    """Return what a file holds: an archive where its name says so."""
    if not path.endswith(".tar"):
        return content.encode()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/t", tarfile.REGTYPE), ("s", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid = kind, 0o755, len(content)
            member.linkname = content if kind == tarfile.SYMTYPE else ""
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            member.pax_headers = {"SCHILY.xattr.user.t": content} if kind == tarfile.REGTYPE else {}
            archive.addfile(member, io.BytesIO(content.encode()))
    return file.getvalue()


# -- the grammar

Drawn = TypeVar("Drawn")


def _weighted(*choices: tuple[int, st.SearchStrategy[Drawn]]) -> st.SearchStrategy[Drawn]:
    """Draw from one of several, each with its weight; ``one_of`` would weigh what is in them."""
    return st.sampled_from([strategy for weight, strategy in choices for _ in range(weight)]).flatmap(lambda one: one)


_FILES = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/c", "t.tar"])
_PATHS = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e", "d/e/c", "t.tar", "l"])
_CONTENTS = st.sampled_from(["1", "2", "33", ""])
_MODES = st.sampled_from([0o644, 0o600, 0o755, 0o4711])
_IGNORED = st.sampled_from(["a", "d", "d/a", "!d/b", "**/b", "*.tar", "d/e", "!d/e/c", "*"])

_FILE_EDITS: st.SearchStrategy[FileEdit] = st.one_of(
    st.builds(Write, _FILES, _CONTENTS),
    st.builds(Write, _FILES, _CONTENTS, st.just(True)),
    st.builds(Mode, _PATHS, _MODES),
    st.builds(Touch, _PATHS),
    st.builds(Remove, _PATHS),
    st.builds(Rename, _PATHS, _PATHS),
    st.builds(Symlink, _PATHS, st.sampled_from(["a", "d", "e/c", "none", "/d/b"])),
    st.builds(HardLink, _FILES, _FILES),
    st.builds(Ignore, st.lists(_IGNORED, max_size=2).map(tuple)),
)

_IMAGE_PATHS = st.sampled_from(["/a", "/b", "/d", "/d/a", "/d/b", "/d/sub", "/d/sub/c", "/x", "/x/a", "/ln/a", "w"])
_TAKEN = _weighted((1, _PATHS), (2, st.sampled_from(["*", "d*/*", "[ab]", "d*", ".", "[a-dl]", "$V*", "none*"])))
_TAKEN_FROM = _weighted((1, _IMAGE_PATHS), (2, st.sampled_from(["/d/*", "/[a-dp]", "/d*", "/x*", "/ln", "/tmp"])))
_DESTINATIONS = st.sampled_from(["/", "/d/", "/x/", "w/", "/ln/", "/d/sub/", "/x", "/x/y", "/b", "$V"])
_FLAGS = st.sampled_from(
    [
        *[""] * 6,
        *("--chmod=600", "--chmod=u=rwX,go-w", "--chown=5:6", "--chown=app", "--link", "--link --chown=7"),
        *("--exclude=a", "--exclude=*/b", "--parents", "--parents --chown=8 --exclude=e"),
    ]
)
_COPY = st.builds("COPY {} {} {}".format, _FLAGS, _TAKEN, _DESTINATIONS)
_ADD = st.builds("ADD {} {} {}".format, st.sampled_from(["", "--chown=5", "--link"]), st.just("t.tar"), _DESTINATIONS)

_COMMANDS = st.one_of(
    st.builds("echo {} > {}".format, _CONTENTS, _IMAGE_PATHS),
    st.builds("echo $V >> {}".format, _IMAGE_PATHS),
    st.builds("rm -rf {}".format, _IMAGE_PATHS),
    st.builds("mkdir -p {}".format, _IMAGE_PATHS),
    st.builds("mv {} {}".format, _IMAGE_PATHS, _IMAGE_PATHS),
    st.builds("cp -a {} {}".format, _IMAGE_PATHS, _IMAGE_PATHS),
    st.builds("ln -sf {} {}".format, _IMAGE_PATHS, _IMAGE_PATHS),
    st.builds("ln -f {} {}".format, _IMAGE_PATHS, _IMAGE_PATHS),
    st.builds("chmod {} {}".format, st.sampled_from(["600", "755", "g+s"]), _IMAGE_PATHS),
    st.builds("chown {} {}".format, st.sampled_from(["5", "6:7"]), _IMAGE_PATHS),
    st.builds("touch {}".format, _IMAGE_PATHS),
    st.sampled_from(
        [
            "mkfifo /p",  # in a place that no other command reads
            "rm -f /p",
            "test ! -e /x/a || exit 3",
        ]
    ),
)
_SCRIPT = st.lists(_COMMANDS, min_size=1, max_size=3).map("; ".join)
_RUN = st.builds("RUN {}; see".format, _SCRIPT)
_FAILING = st.builds("RUN {} && see".format, _SCRIPT)
_MOUNTED = st.sampled_from(["see", "echo 1 > /m/new; cp -a /m/. /x; see"])
_MOUNT = st.builds(
    "RUN --mount=target=/m{},source={} {}".format, st.sampled_from(["", ",rw"]), _PATHS | st.just("."), _MOUNTED
)
_SETTING = st.sampled_from(
    [
        *("ENV V=a", "ENV V=d W=1", "ENV W=$V", "ARG V", "ARG V=b", "ARG W=1"),
        *("WORKDIR /d", "WORKDIR w", "WORKDIR /x/y", "USER app", "USER 0", "USER 1000:5", "USER 0"),
        *("CMD a", 'ENTRYPOINT ["b"]', "LABEL a=$V", "EXPOSE 80", 'SHELL ["/bin/busybox", "sh", "-c"]'),
    ]
)


def _instruction(stage: int, *, has_shell: bool = True) -> st.SearchStrategy[str]:
    """Return the instructions of a stage, which takes files from those before it."""
    steps = (_RUN, _RUN, _MOUNT, _FAILING) if has_shell else ()
    plain = ((2, _COPY), (3, _SETTING), (1, _ADD), *((1, step) for step in steps))
    if stage == 0:
        return _weighted(*plain)
    earlier = st.one_of(st.integers(0, stage - 1).map("s{}".format), st.just(BASE))
    take = st.builds("COPY --from={} {} {} {}".format, earlier, _FLAGS, _TAKEN_FROM, _DESTINATIONS)
    show = st.builds(
        "RUN --mount=target=/m{},from={},source={} {}".format,
        st.sampled_from(["", ",rw"]),
        earlier,
        st.one_of(_IMAGE_PATHS, st.just("/d")),
        _MOUNTED,
    )
    return _weighted(*plain, (2, take), (int(has_shell), show))


@st.composite
def dockerfiles(draw: st.DrawFn) -> list[str]:
    """The lines of a Dockerfile of one to three stages."""
    lines = []
    for stage in range(draw(st.sampled_from([1, 2, 2, 3, 3]))):
        base = draw(st.sampled_from([BASE, BASE, BASE, "scratch", f"s{stage - 1}" if stage else BASE]))
        lines.append(f"FROM {base} AS s{stage}")
        lines += draw(st.lists(_instruction(stage, has_shell=base != "scratch"), min_size=2, max_size=5))
        lines += [f"COPY --from=s{stage - 1} /tmp* /from/"] * (stage > 0)
    return lines


USUAL = (
    Write("a", "a"),
    Write("b", "b"),
    Write("d/a", "1"),
    Write("d/e/c", "2"),
    Write("t.tar", "3"),
    Symlink("l", "a"),
)
"""The context as it is at first, before edits of its files."""
FILES = st.lists(_FILE_EDITS, max_size=4)
_NUMBERS = st.integers(0, 20)
EDITS: st.SearchStrategy[Edit] = _weighted(
    (5, _FILE_EDITS),
    (2, st.builds(Line, _NUMBERS, st.none())),
    (2, st.builds(Line, _NUMBERS, _instruction(1))),
    (2, st.builds(Insert, _NUMBERS, _SETTING)),
    (1, st.builds(Insert, _NUMBERS, _instruction(1))),
    (1, st.builds(Swap, _NUMBERS)),
    (2, st.builds(Argument, st.sampled_from("VW"), st.sampled_from([None, "a", "b"]))),
)
