"""The instructions of a Dockerfile as values, one class each, with nothing expanded yet."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias, cast

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.errors import SourceRange
    from ocibuild.graph import Network, Security
    from ocibuild.oci import Healthcheck

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: the arguments of exec form, or one string that the stage's shell runs."""

    args: tuple[str, ...]
    shell_form: bool


@dataclass(frozen=True, slots=True)
class _Instruction:
    """What all instructions share; two that say the same are equal wherever they stand and however they are cut up.

    ``text`` is the whole instruction on one line, as written; ``location`` is where it stands. ``keyword`` is its name
    as written; ``comments`` are the lines of comment above it, each without its ``#`` and the blanks around it, since
    the instruction before it, a parser directive, or an empty comment.
    """

    text: str = field(compare=False)
    location: SourceRange = field(compare=False)
    keyword: str
    comments: tuple[str, ...]

    def __str__(self) -> str:
        """Return the lines of an instruction that says the same, where the escape character is a backslash."""
        from ocibuild.dockerfile.parser.printer import print_instruction

        return print_instruction(cast("Instruction", self), escape="\\")


@dataclass(frozen=True, slots=True)
class From(_Instruction):
    """``FROM [--platform=P] BASE [AS NAME]``; ``name`` is in lower case, empty where there is none.

    ``name_as_written`` and ``as_keyword`` keep the letter case of the name and of ``AS``.
    """

    base: str
    name: str = ""
    platform: str | None = None
    name_as_written: str = ""
    as_keyword: str = ""


@dataclass(frozen=True, slots=True)
class Arg(_Instruction):
    """``ARG NAME[=VALUE]…``; a value is None where there is no equals sign."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(_Instruction):
    """``ENV NAME=VALUE…``, or with ``legacy`` ``ENV NAME VALUE``."""

    pairs: Pairs
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Label(_Instruction):
    """``LABEL NAME=VALUE…``, or with ``legacy`` ``LABEL NAME VALUE``."""

    pairs: Pairs
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A document that stands in the lines after an instruction: ``<<NAME`` to the line that is NAME.

    ``content`` ends with a line feed unless it is empty; the tabs that ``<<-`` strips are gone, and are there in
    ``raw``. Bytes that are not UTF-8 are surrogate escapes, and U+FFFD in the content of what is expanded. ``expand``
    is whether variables in it are: not where the name was quoted. ``opener`` is the word that opened it, as written.
    """

    name: str
    content: str
    expand: bool
    opener: str
    raw: str


@dataclass(frozen=True, slots=True)
class Run(_Instruction):
    """``RUN [--mount=M]… [--network=N] [--security=S] COMMAND``.

    ``network`` is DEFAULT where the build decides. ``mounts`` are as written, since most of their values may hold
    variables. Of shell form, ``heredocs`` are the documents that the command opens.
    """

    command: Command
    network: Network
    security: Security
    mounts: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy(_Instruction):
    """``COPY [--from=F] [--chown=O] [--chmod=M] [--link] [--parents] [--exclude=P]… SOURCE… DESTINATION``.

    Flags that are not given are empty. ``heredocs`` are sources whose content stands in the Dockerfile.
    """

    sources: tuple[str, ...]
    destination: str
    from_: str = ""
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Add(_Instruction):
    """``ADD [--chown=O] [--chmod=M] [--link] [--exclude=P]… [--checksum=C] [--keep-git-dir] [--unpack] SOURCE… DEST``.

    Flags that are not given are empty, or None where neither true nor false is what that means.
    """

    sources: tuple[str, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd(_Instruction):
    """``CMD COMMAND``."""

    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(_Instruction):
    """``ENTRYPOINT COMMAND``."""

    command: Command


@dataclass(frozen=True, slots=True)
class Shell(_Instruction):
    """``SHELL ["EXECUTABLE", …]``."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workdir(_Instruction):
    """``WORKDIR PATH``."""

    path: str


@dataclass(frozen=True, slots=True)
class User(_Instruction):
    """``USER NAME[:GROUP]``."""

    user: str


@dataclass(frozen=True, slots=True)
class Expose(_Instruction):
    """``EXPOSE PORT[/PROTOCOL]…``, sorted."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(_Instruction):
    """``VOLUME PATH…``."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal(_Instruction):
    """``STOPSIGNAL SIGNAL``."""

    signal: str


@dataclass(frozen=True, slots=True)
class HealthCheck(_Instruction):
    """``HEALTHCHECK [OPTIONS] CMD COMMAND`` or ``HEALTHCHECK NONE``."""

    check: Healthcheck


@dataclass(frozen=True, slots=True)
class OnBuild(_Instruction):
    """``ONBUILD INSTRUCTION``; ``trigger`` is the instruction as written."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Maintainer(_Instruction):
    """``MAINTAINER NAME``."""

    name: str


StageInstruction: TypeAlias = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Add
    | Cmd
    | Entrypoint
    | Shell
    | Workdir
    | User
    | Expose
    | Volume
    | StopSignal
    | HealthCheck
    | OnBuild
    | Maintainer
)
Instruction: TypeAlias = From | StageInstruction
