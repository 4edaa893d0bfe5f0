"""The instructions of a Dockerfile as values, one class each, with nothing expanded yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ocibuild.errors import SourceRange
    from ocibuild.graph import Network
    from ocibuild.oci import Healthcheck

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: the arguments of exec form, or one string that the stage's shell runs."""

    args: tuple[str, ...]
    shell_form: bool


@dataclass(frozen=True, slots=True)
class _Instruction:
    """``text`` is the whole instruction on one line, as written; ``location`` is where it stands."""

    text: str
    location: SourceRange


@dataclass(frozen=True, slots=True)
class From(_Instruction):
    """``FROM [--platform=P] BASE [AS NAME]``; ``name`` is in lower case, empty where there is none."""

    base: str
    name: str = ""
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Arg(_Instruction):
    """``ARG NAME[=VALUE]…``; a value is None where there is no equals sign."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(_Instruction):
    """``ENV NAME=VALUE…`` or ``ENV NAME VALUE``."""

    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Label(_Instruction):
    """``LABEL NAME=VALUE…`` or ``LABEL NAME VALUE``."""

    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Run(_Instruction):
    """``RUN [--network=N] COMMAND``; ``network`` is DEFAULT where the build decides."""

    command: Command
    network: Network


@dataclass(frozen=True, slots=True)
class Copy(_Instruction):
    """``COPY [--from=F] [--chown=O] [--chmod=M] SOURCE… DESTINATION``; flags that are not given are empty."""

    sources: tuple[str, ...]
    destination: str
    from_: str = ""
    owner: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Add(_Instruction):
    """``ADD [--chown=O] [--chmod=M] SOURCE… DESTINATION``; flags that are not given are empty."""

    sources: tuple[str, ...]
    destination: str
    owner: str = ""
    mode: str = ""


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
