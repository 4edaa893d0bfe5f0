"""What the spawner is asked to start, as plain data: a process in a root of its own, one more in there, a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from ocibuild.sandbox import mounts, syscalls
from ocibuild.sandbox.foreign import Foreign
from ocibuild.sandbox.pasta import Pasta
from ocibuild.sandbox.users import User
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocibuild.sandbox.mounts import Mount, RootTree

STEP_NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS


class StepSpec(NamedTuple):
    """What a step's process is: its root, what is mounted there, and how it runs.

    ``links`` are symbolic links (target, path) made after the mounts, and before ``own_mounts``, which the step asks
    for: those are attached in their order, where the image's symbolic links lead. ``extra_groups`` is False where the
    kernel forbids setgroups(2). ``insecure`` leaves every capability and system call, and hides and freezes nothing.
    ``own_network`` has loopback alone, unless ``pasta`` connects it. ``ulimits`` are name, soft and hard limit. With
    ``terminal`` the process's streams are a terminal of its own.
    Where it is ``read_only`` nothing but what is mounted can be changed in its root. ``init`` puts one before it.
    With ``lets_in`` further processes may come, with which it is in one Landlock domain: that of who forks them.
    ``size`` is that of its terminal, in rows and columns, where it is known.
    ``kept`` gives it a keeper for its parent. Where it is ``bare`` there are no namespaces and no mounts: the root, a
    folder, is changed with chroot(2) alone. ``supervised``, with a keeper, lets its processes believe that they have
    all IDs. ``foreign`` is how its programs are run, where they are for another processor. ``makes_directory`` is
    whether a working directory that is missing is made.
    """

    root: RootTree
    mounts: list[Mount]
    links: list[tuple[str, str]]
    args: list[str]
    env: list[str]
    user: str
    working_dir: str
    hostname: str
    own_network: bool = False
    pasta: Pasta | None = None
    extra_groups: bool = True
    own_mounts: Sequence[Mount] = ()
    insecure: bool = False
    ulimits: Sequence[tuple[str, int, int]] = ()
    terminal: bool = False
    read_only: bool = False
    init: bool = False
    size: tuple[int, int] = (0, 0)
    lets_in: bool = False
    kept: bool = False
    bare: bool = False
    supervised: bool = False
    foreign: Foreign | None = None
    makes_directory: bool = True

    def to_json(self) -> bytes:
        """Return the spec as JSON for the spawner."""
        return json.dumps(self.members()).encode()

    def members(self) -> dict[str, Any]:
        """Return the spec as what JSON can hold."""
        members = self._asdict()
        members["root"] = mounts.dump(self.root)
        for key in ("mounts", "own_mounts"):
            members[key] = [mounts.dump(mount) for mount in members[key]]
        return members

    @classmethod
    def load(cls, members: dict[str, Any]) -> StepSpec:
        """Return the spec of these ``members()``."""
        read = {
            "root": mounts.load(members["root"]),
            "pasta": Pasta(*members["pasta"]) if members["pasta"] else None,
            "mounts": [mounts.load(value) for value in members["mounts"]],
            "own_mounts": [mounts.load(value) for value in members["own_mounts"]],
            "foreign": Foreign.load(members["foreign"]),
        }
        return cls(**members | read)

    @property
    def depth(self) -> int:
        """How many generations below the first process those are that signals are for."""
        return 0

    @property
    def confined(self) -> bool:
        """Whether we confine it: where there are no mounts, the container around us does."""
        return not self.insecure and not self.bare

    @property
    def system(self) -> list[Mount]:
        """Those of its mounts that have nothing of it: any step may have one like it."""
        return [mount for mount in self.mounts if mounts.is_same_for_all(mount)]

    @property
    def namespaces(self) -> int:
        """The namespaces the process is cloned into."""
        if self.bare:
            return 0
        return STEP_NAMESPACES | (syscalls.CLONE_NEWNET if self.own_network else 0)


class ProgramSpec(NamedTuple):
    """A program by its path on the machine, run in ``working_dir`` as who we are.

    To it and all that it starts, the system calls in ``unknown`` do not exist, and no further filter can be installed,
    which would see what it makes of calls. Programs that would give privileges give none. Where ``believes`` is given,
    they believe to be that user, and that they have all IDs, in the tree ``folder``. ``report`` is a FIFO into which
    the step may write the status that it ends with, which is then its end. ``ulimits``, ``terminal`` and ``size`` are
    as in StepSpec.
    """

    path: str
    args: list[str]
    env: dict[str, str]
    working_dir: str
    unknown: list[str] = []  # noqa: RUF012  (a NamedTuple's, never changed)
    folder: str = ""
    believes: User | None = None
    report: str | None = None
    ulimits: Sequence[tuple[str, int, int]] = ()
    terminal: bool = False
    size: tuple[int, int] = (0, 0)

    @property
    def supervised(self) -> bool:
        """Whether its processes believe that they have all IDs."""
        return self.believes is not None

    @property
    def kept(self) -> bool:
        """Such a program always has a keeper for its parent."""
        return True

    @property
    def depth(self) -> int:
        """How many generations below it those are that signals are for: what reports a status has one more above it."""
        return 1 if self.report is None else 2

    @property
    def namespaces(self) -> int:
        """The namespaces the process is cloned into: none."""
        return 0

    @property
    def pasta(self) -> None:
        """Its network is the machine's."""

    @property
    def lets_in(self) -> bool:
        """Whether further processes join its namespaces: it has none."""
        return False

    @property
    def confined(self) -> bool:
        """Whether we confine it: it is the machine's."""
        return False

    @property
    def foreign(self) -> None:
        """How it runs programs for another processor is its own concern."""

    def to_json(self) -> bytes:
        """Return the spec as JSON for the spawner."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def load(cls, members: dict[str, Any]) -> ProgramSpec:
        """Return the spec whose members ``to_json()`` wrote."""
        believes = members["believes"]
        return cls(**members | {"believes": believes and User(*believes)})


class EntrySpec(NamedTuple):
    """A further process of a step; what is not said here is as the step has it. The members are as in StepSpec.

    ``size`` is that of its terminal, in rows and columns.
    """

    args: list[str]
    env: list[str]
    user: str
    working_dir: str
    terminal: bool = False
    size: tuple[int, int] = (0, 0)

    def settings(self) -> dict[str, Any]:
        """Return its members, by which a step of its own differs from the one that it is to be beside."""
        return self._asdict()

    def to_json(self) -> bytes:
        """Return the spec as JSON for the spawner."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def load(cls, members: dict[str, Any]) -> EntrySpec:
        """Return the spec whose members ``to_json()`` wrote; raise TypeError for others."""
        return cls(**members)


class Expected(NamedTuple):
    """Nothing yet: a process is to be ready for a step ``like`` this one, whose root and program may be any."""

    like: StepSpec

    def to_json(self) -> bytes:
        """Return it as JSON for the spawner."""
        return json.dumps({"like": self.like.members()}).encode()


FirstSpec: TypeAlias = StepSpec | ProgramSpec
Spec: TypeAlias = FirstSpec | EntrySpec
Admission: TypeAlias = "Callable[[EntrySpec], FirstSpec]"
"""What makes a step of its own of what is asked for beside another."""


def load_spec(data: bytes) -> Spec | Expected:
    """Return the spec that ``to_json()`` of one of them wrote."""
    members = json.loads(data)
    if "like" in members:
        return Expected(StepSpec.load(members["like"]))
    if "root" in members:
        return StepSpec.load(members)
    return ProgramSpec.load(members) if "path" in members else EntrySpec.load(members)
