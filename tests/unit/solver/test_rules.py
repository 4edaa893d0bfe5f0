"""The rules of cache keys, one row each: a build, a change, a second build, and of each step whether it ran again.

What the command line, the environment and a registry have to do with it is in ``tests/end_to_end/test_cache.py``.
"""

from __future__ import annotations

import os
import shutil
import socket
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ocibuild.build.agents import SSHSpec
from ocibuild.build.secrets import SecretSpec
from ocibuild.graph import ExtraHost, Network, Ulimit
from ocibuild.oci import Platform, Reference
from tests.support.lab import needs_root
from tests.unit.solver.bench import SHELL, Bench
from tests.unit.solver.test_archive import tar

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Trial:
    """What is built: a Dockerfile in a context, and what is asked for beside it."""

    bench: Bench
    text: str
    request: dict[str, Any] = field(default_factory=dict)


Change: TypeAlias = "Callable[[Trial], object]"


@dataclass(frozen=True, slots=True)
class Rule:
    """After ``change`` the steps with one of the words of ``ran`` in their labels run again, and no others.

    ``text`` is what follows the lines that bring a shell, unless it has a FROM of its own; ``prepare`` is done before
    the first build.
    """

    text: str
    change: Change
    ran: tuple[str, ...] = ()
    prepare: Change = lambda _: None


def _nothing(_: Trial) -> None: ...


def write(name: str, content: str, mode: int = 0o644) -> Change:
    return lambda trial: trial.bench.write(name, content, mode)


def on(name: str, work: Callable[[str], object]) -> Change:
    """Do something with a file of the context."""
    return lambda trial: work(f"{trial.bench.context}/{name}")


def reads(text: str) -> Change:
    """Let the Dockerfile be another one."""

    def change(trial: Trial) -> None:
        trial.text = text

    return change


def asks(**request: Any) -> Change:
    return lambda trial: trial.request.update(request)


def all_of(*changes: Change) -> Change:
    return lambda trial: [change(trial) for change in changes]


def _copied_anew(path: str) -> None:
    """Put a copy in the place of a file: another inode, with the same time and content."""
    shutil.copy2(path, f"{path}.new")
    os.rename(f"{path}.new", path)


def _moved(trial: Trial) -> None:
    trial.bench.context = trial.bench.context.rename(trial.bench.context.with_name("elsewhere"))


def _copied(trial: Trial) -> None:
    """Let the context be a copy of it, all of which is new."""
    trial.bench.context = shutil.copytree(
        trial.bench.context, trial.bench.context.with_name("copy"), symlinks=True, copy_function=shutil.copyfile
    )
    (trial.bench.context / "busybox").chmod(0o755)


def _swapped(path: str) -> None:
    """Give two files each other's content."""
    for one, content in (("a", "b"), ("b", "a")):
        with open(f"{path}/{one}", "w", encoding="ascii") as file:
            file.write(content)


def _linked(target: str) -> Callable[[str], object]:
    def link(path: str) -> None:
        os.unlink(path)
        os.symlink(target, path)

    return link


def _now_one_file(path: str) -> None:
    """Let a file be another name of the one beside it, which has the same content."""
    os.unlink(path)
    os.link(os.path.join(os.path.dirname(path), "a"), path)


def _now_a_pipe(path: str) -> None:
    os.rmdir(path)
    os.mkfifo(path, 0o755)


COPY = "COPY src /src\nRUN cat /src/a"
_FILES = ("COPY src", "RUN")

CONTEXT = {
    "touched": Rule(COPY, on("src/a", lambda path: os.utime(path, (5, 5)))),
    "touched directory": Rule(COPY, on("src", lambda path: os.utime(path, (5, 5)))),
    "copied anew": Rule(COPY, on("src/a", _copied_anew)),
    "written again": Rule(COPY, write("src/a", "a")),
    "owner": Rule(COPY, on("src/a", lambda path: os.chown(path, 5, 6))),
    "owner of a directory": Rule(COPY, on("src", lambda path: os.chown(path, 5, 6))),
    "moved": Rule(COPY, _moved),
    "all of it a copy": Rule(COPY, _copied),
    "what is not copied": Rule(COPY, write("elsewhere", "x")),
    "what is excluded": Rule(
        COPY, all_of(write("src/x.log", "2"), on("src/new.log", os.mkdir)),
        prepare=all_of(write(".dockerignore", "**/*.log"), write("src/x.log", "1")),
    ),
    "a rule that excludes nothing": Rule(COPY, write(".dockerignore", "# nothing\n*.log\n")),
    "a byte": Rule(COPY, write("src/a", "x"), _FILES),
    "two contents swapped": Rule(COPY, on("src", _swapped), _FILES),
    "mode": Rule(COPY, on("src/a", lambda path: os.chmod(path, 0o600)), _FILES),
    "mode of a directory": Rule(COPY, on("src/d", lambda path: os.chmod(path, 0o700)), _FILES),
    "mode of the directory that is named": Rule(COPY, on("src", lambda path: os.chmod(path, 0o700)), _FILES),
    "name": Rule(COPY, on("src/b", lambda path: os.rename(path, f"{path}.new")), _FILES),
    "name of a single file": Rule(
        "COPY src/b* /src/\nRUN true", on("src/b", lambda path: os.rename(path, f"{path}.new")), ("COPY src", "RUN")
    ),
    "name of a directory in it": Rule(COPY, on("src/d", lambda path: os.rename(path, f"{path}.new")), _FILES),
    "a file more": Rule(COPY, write("src/c", ""), _FILES),
    "a directory more": Rule(COPY, on("src/c", os.mkdir), _FILES),
    "a file less": Rule(COPY, on("src/b", os.unlink), _FILES),
    "target of a link": Rule(COPY, on("src/link", _linked("b")), _FILES),
    "a link for a file": Rule(COPY, on("src/b", _linked("a")), _FILES),
    "a pipe for a directory": Rule(COPY, on("src/empty", _now_a_pipe), _FILES),
    "two names of one file": Rule(COPY, on("src/same", _now_one_file), _FILES, write("src/same", "a")),
    "a name elsewhere": Rule(COPY, on("src", lambda path: os.link(f"{path}/a", f"{path}/../elsewhere"))),
    "now excluded": Rule(COPY, write(".dockerignore", "src/b"), _FILES),
    "no longer excluded": Rule(COPY, write(".dockerignore", ""), _FILES, prepare=write(".dockerignore", "src/b")),
    "what a link that is named leads to": Rule("COPY src/link /x\nRUN true", write("src/a", "x"), _FILES),
    "what is mounted": Rule("RUN --mount=source=src,target=/m true", write("src/a", "x"), ("RUN",
        "load build context")),
    "what is not mounted": Rule("RUN --mount=source=src/d,target=/m true", write("src/a", "x")),
    "what is added": Rule("ADD src /src\nRUN true", write("src/a", "x"), ("ADD", "RUN")),
}  # fmt: skip


def becomes(
    before: str, after: str, *ran: str, given: dict[str, Any] | None = None, prepare: Change = _nothing
) -> Rule:
    """Return the rule for a Dockerfile that becomes another one, with the same ``given`` to both builds."""
    return Rule(before, reads(after), ran, all_of(prepare, asks(**given or {})))


def _tar(trial: Trial) -> None:
    trial.bench.write("src/a.tar", tar())


RUN = "RUN echo x > /x"
_NAMED = SHELL.replace("scratch", "scratch AS one")

DOCKERFILE = {
    "a comment": becomes(RUN, f"# why\n\n{RUN}"),
    "a comment inside": becomes("RUN echo x \\\n > /x", "RUN echo x \\\n# why\n\n > /x"),
    "layout": becomes("RUN echo x > /x", "  run   echo x \\\n> /x"),
    "lines": becomes("ENV A=1 B=2\nRUN true", "ENV \\\n  A=1 \\\n  B=2\n\n\nRUN true"),
    "the form of ENV": becomes("ENV A 1\nRUN true", 'ENV A="1"\nRUN true'),
    "an escape character": becomes(f"{SHELL}{RUN}", f"# escape=`\n{SHELL}{RUN}"),
    "a label": becomes(RUN, f"LABEL a=b\n{RUN}"),
    "settings of the image": becomes(RUN, f'EXPOSE 80\nVOLUME /v\nSTOPSIGNAL 9\nCMD ["a"]\nENTRYPOINT ["b"]\n{RUN}'),
    "a check of health": becomes(RUN, f"HEALTHCHECK CMD true\nMAINTAINER me\nONBUILD RUN false\n{RUN}"),
    "a step that comes after": becomes(RUN, f"{RUN}\nRUN true", "RUN true"),
    "a step that came after": becomes(f"{RUN}\nRUN true", RUN),
    "an argument that comes later": becomes(f"{RUN}\nARG A=1", f"{RUN}\nARG A=2"),
    "an argument before every stage": becomes(f"ARG A=1\n{SHELL}{RUN}", f"ARG A=2\n{SHELL}{RUN}"),
    "an argument of another stage": becomes(f"{_NAMED}{RUN}\nFROM scratch AS other\nARG A=1\nFROM one",
        f"{_NAMED}{RUN}\nFROM scratch AS other\nARG A=2\nFROM one"),
    "the environment of COPY": becomes("ENV A=1\nCOPY src /src", "ENV A=2\nCOPY src /src"),
    "the user of COPY": becomes("USER 1\nCOPY src /src", "USER 2\nCOPY src /src"),
    "the directory of COPY, by an absolute name": becomes("WORKDIR /\nCOPY src /src", "COPY src /src"),
    "a variable for what it is": becomes("COPY src /src\nRUN true", "ENV A=src\nCOPY $A /$A" ),
    "how files are named": becomes("COPY src/a src/b /x/\nRUN true", "COPY src/[ab] /x/\nRUN true"),
    "the name of a stage": becomes("FROM scratch AS one\nCOPY src /\nFROM scratch\nCOPY --from=one / /",
        "FROM scratch AS two\nCOPY src /\nFROM scratch\nCOPY --from=two / /"),
    "a stage more that is not needed": becomes("FROM scratch\nCOPY src /",
        "FROM scratch AS other\nCOPY none /\nFROM scratch\nCOPY src /"),
    "command": becomes(RUN, "RUN echo y > /x", "RUN"),
    "form": becomes('RUN ["/bin/busybox", "true"]', "RUN /bin/busybox true", "RUN"),
    "where words are parted": becomes('RUN ["/bin/busybox", "echo", "a b"]', 'RUN ["/bin/busybox", "echo", "a", "b"]',
        "RUN"),
    "shell": becomes(RUN, f'SHELL ["/bin/busybox", "ash", "-c"]\n{RUN}', "RUN"),
    "environment": becomes(f"ENV A=1\n{RUN}", f"ENV A=2\n{RUN}", "RUN"),
    "environment that is not used": becomes(RUN, f"ENV A=1\n{RUN}", "RUN"),
    "argument": becomes(f"ARG A=1\n{RUN}", f"ARG A=2\n{RUN}", "RUN"),
    "user": becomes("USER 1\nRUN true", "USER 2\nRUN true", "RUN"),
    "group": becomes("USER 1:1\nRUN true", "USER 1:2\nRUN true", "RUN"),
    "working directory": becomes(f"WORKDIR /\n{RUN}", f"WORKDIR /bin\n{RUN}", "WORKDIR", "RUN"),
    "directory": becomes("WORKDIR /a\nWORKDIR /\nRUN true", "WORKDIR /b\nWORKDIR /\nRUN true", "WORKDIR /b", "RUN"),
    "what a directory is made on": becomes("RUN echo > /1\nWORKDIR /a", "RUN echo x > /1\nWORKDIR /a",
        "RUN", "WORKDIR"),
    "owner of a directory": becomes("USER 1\nWORKDIR /a\nUSER 0\nRUN true", "USER 2\nWORKDIR /a\nUSER 0\nRUN true",
        "WORKDIR", "RUN"),
    "network of a step": becomes(RUN, "RUN --network=none echo x > /x", "RUN"),
    "network of the machine": becomes("RUN --network=none true", "RUN --network=host true", "RUN",
        given={"allowed": frozenset({"network.host"})}),
    "security": becomes("RUN true", "RUN --security=insecure true", "RUN",
        given={"allowed": frozenset({"security.insecure"})}),
    "document": becomes("RUN <<E\necho x\nE", "RUN <<E\necho y\nE", "RUN"),
    "script": becomes("RUN <<E\n#!/bin/busybox sh\necho x\nE", "RUN <<E\n#!/bin/busybox sh\necho y\nE", "RUN",
        "inline"),
    "a script that was a file": becomes("COPY <<E /x\n#!/bin/busybox sh\nE", "RUN <<E\n#!/bin/busybox sh\nE", "RUN",
        "inline"),
    "file in the Dockerfile": becomes("COPY <<a /x\none\na\nRUN true", "COPY <<a /x\ntwo\na\nRUN true",
        "COPY <<a", "RUN", "inline"),
    "name of a file in the Dockerfile": becomes("COPY <<a /x/\n\na\nRUN true", "COPY <<b /x/\n\nb\nRUN true",
        "COPY <<b", "RUN", "inline"),
    "destination": becomes("COPY src /x\nRUN true", "COPY src /y\nRUN true", "COPY src", "RUN"),
    "destination that must be a directory": becomes("COPY src/a /x\nRUN true", "COPY src/a /x/\nRUN true", "COPY src",
        "RUN"),
    "relative destination": becomes("COPY src/a x\nRUN true", "WORKDIR /bin\nCOPY src/a x\nRUN true",
        "WORKDIR", "COPY src", "RUN"),
    "order of what is copied": becomes("COPY src/a src/b /x/\nRUN true", "COPY src/b src/a /x/\nRUN true", "COPY src",
        "RUN"),
    "--chown": becomes("COPY --chown=4 src /x\nRUN true", "COPY --chown=5 src /x\nRUN true", "COPY --chown", "RUN"),
    "--chown to root": becomes("COPY src /x\nRUN true", "COPY --chown=0 src /x\nRUN true", "COPY --chown"),
    "--chmod": becomes("COPY --chmod=755 src /x\nRUN true", "COPY --chmod=700 src /x\nRUN true", "COPY --chmod", "RUN"),
    "--parents": becomes("COPY src/d/e /x/\nRUN true", "COPY --parents src/d/e /x/\nRUN true", "COPY --parents", "RUN"),
    "a directory that is only above what is copied": becomes("COPY --parents src/d/e /\nRUN true",
        "COPY --parents src/d /\nRUN true", "COPY --parents", "RUN"),
    "pivot of --parents": becomes("COPY --parents src/./d/e /x/\nRUN true", "COPY --parents src/d/./e /x/\nRUN true",
        "COPY --parents", "RUN"),
    "--exclude": becomes("COPY src /x\nRUN true", "COPY --exclude=b src /x\nRUN true", "COPY --exclude", "RUN"),
    "--link": becomes("COPY src /x\nRUN true", "COPY --link src /x\nRUN true", "COPY --link", "RUN"),
    "ADD for COPY": becomes("COPY src /x\nRUN true", "ADD src /x\nRUN true", "ADD", "RUN"),
    "ADD of an archive": becomes("ADD --unpack=false src/a.tar /x/\nRUN true", "ADD src/a.tar /x/\nRUN true",
        "ADD", "RUN", prepare=_tar),
    "one of two steps taken away": becomes("RUN echo 1 > /1\nRUN true", "RUN true", "RUN true"),
    "two steps swapped": becomes("RUN echo 1 > /1\nRUN echo 2 > /2", "RUN echo 2 > /2\nRUN echo 1 > /1", "echo 1",
        "echo 2"),
}  # fmt: skip


def mounts(before: str, after: str, *ran: str, **how: Any) -> Rule:
    """Return the rule for a mount that becomes another one."""
    stages = "FROM scratch AS one\nCOPY src /\nFROM scratch AS two\nCOPY src /\nCOPY src/a /new\n"
    text = f"{stages}{SHELL}RUN --mount={{}} true"
    return becomes(text.format(before), text.format(after), "RUN", *ran, **how)


_BIND, _CACHE, _TMPFS = "target=/m,source=src", "type=cache,target=/c,id=c", "type=tmpfs,target=/t,size=1000000"
_SECRET, _SSH = "type=secret,id=one", "type=ssh,target=/s,id=one"
_SECRETS = {"secrets": (SecretSpec("one", "/etc/passwd"), SecretSpec("two", "/etc/passwd"))}


def _agents(trial: Trial) -> None:
    """Listen as two agents would; who connects is never answered."""
    specs = []
    for name in ("one", "two"):
        path = str(trial.bench.root.with_name(name))
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()
        _SOCKETS.append(listening)
        specs.append(SSHSpec(name, (path,)))
    trial.request["agents"] = tuple(specs)


_SOCKETS: list[socket.socket] = []

MOUNTS = {
    "target": mounts(_BIND, _BIND.replace("/m", "/n")),
    "source": mounts(_BIND, _BIND.replace("src", "src/d"), "load build context"),
    "read and write": mounts(_BIND, f"{_BIND},rw"),
    "tree": mounts("from=one,target=/m", "from=two,target=/m", "COPY src/a"),
    "path in a tree": mounts("from=one,target=/m,source=a", "from=one,target=/m,source=b"),
    "target of a cache": mounts(_CACHE, _CACHE.replace("/c", "/d")),
    "id of a cache": mounts(_CACHE, _CACHE.replace("id=c", "id=d")),
    "sharing": mounts(_CACHE, f"{_CACHE},sharing=locked"),
    "what a cache begins with": mounts(f"{_CACHE},from=one", f"{_CACHE},from=two", "COPY src/a"),
    "where in that": mounts(f"{_CACHE},from=one", f"{_CACHE},from=one,source=d"),
    "mode of a cache": mounts(_CACHE, f"{_CACHE},mode=700"),
    "user of a cache": mounts(_CACHE, f"{_CACHE},uid=5"),
    "group of a cache": mounts(_CACHE, f"{_CACHE},gid=5"),
    "a cache that is read alone": mounts(_CACHE, f"{_CACHE},ro"),
    "target of memory": mounts(_TMPFS, _TMPFS.replace("/t", "/u")),
    "size": mounts(_TMPFS, f"{_TMPFS}0"),
    "memory that is read alone": mounts(_TMPFS, f"{_TMPFS},ro"),
    "another kind": mounts("type=tmpfs,target=/m", "type=cache,target=/m"),
    "id of a secret": mounts(f"{_SECRET},target=/s", "type=secret,id=two,target=/s", given=_SECRETS),
    "target of a secret": mounts(f"{_SECRET},target=/s", f"{_SECRET},target=/t", given=_SECRETS),
    "variable of a secret": mounts(f"{_SECRET},env=A", f"{_SECRET},env=B", given=_SECRETS),
    "a variable and a file": mounts(f"{_SECRET},env=A", f"{_SECRET},env=A,target=/s", given=_SECRETS),
    "a secret that must be there": mounts(_SECRET, f"{_SECRET},required", given=_SECRETS),
    "mode of a secret": mounts(_SECRET, f"{_SECRET},mode=444", given=_SECRETS),
    "user of a secret": mounts(_SECRET, f"{_SECRET},uid=5", given=_SECRETS),
    "group of a secret": mounts(_SECRET, f"{_SECRET},gid=5", given=_SECRETS),
    "id of an agent": mounts(_SSH, _SSH.replace("one", "two"), prepare=_agents),
    "target of an agent": mounts(_SSH, _SSH.replace("/s", "/t"), prepare=_agents),
    "an agent that must be there": mounts(_SSH, f"{_SSH},required", prepare=_agents),
    "mode of an agent": mounts(_SSH, f"{_SSH},mode=666", prepare=_agents),
    "user of an agent": mounts(_SSH, f"{_SSH},uid=5", prepare=_agents),
    "group of an agent": mounts(_SSH, f"{_SSH},gid=5", prepare=_agents),
}


def _secret(content: str) -> Change:
    def change(trial: Trial) -> None:
        path = trial.bench.root.with_name("secret")
        path.write_text(content)
        trial.request["secrets"] = (SecretSpec("one", str(path)),)

    return change


def _only_the_other_agent(trial: Trial) -> None:
    first, second = trial.request["agents"]
    trial.request["agents"] = (SSHSpec(first.id, second.paths),)


_ARGUMENT = "ARG A\nRUN echo $A"
_GIVEN = "RUN --mount=type=secret,id=one,env=TOKEN,target=/s true"

REQUEST = {
    "value of a secret": Rule(_GIVEN, _secret("2"), prepare=_secret("1")),
    "a secret that is not given": Rule(_GIVEN, asks(secrets=()), prepare=_secret("1")),
    "an agent": Rule(f"RUN --mount={_SSH} true", _only_the_other_agent, prepare=_agents),
    "an agent that is not given": Rule(f"RUN --mount={_SSH} true", asks(agents=()), prepare=_agents),
    "proxies": Rule(RUN, asks(build_args={"HTTP_PROXY": "a", "https_proxy": "b", "FTP_PROXY": "c", "all_proxy": "d"})),
    "other proxies": Rule(RUN, asks(build_args={"NO_PROXY": "b"}), prepare=asks(build_args={"NO_PROXY": "a"})),
    "an argument that nothing declares": Rule(RUN, asks(build_args={"A": "1"})),
    "an argument that another stage declares": Rule(f"FROM scratch AS one\nARG A\n{SHELL}{RUN}",
        asks(build_args={"A": "1"})),
    "an argument as its default says": Rule(f"ARG A=1\n{RUN}", asks(build_args={"A": "1"})),
    "an argument of the base's name": Rule("ARG BASE=scratch\nFROM $BASE\nCOPY src /",
        asks(build_args={"BASE": "scratch"})),
    "labels and annotations": Rule(RUN, asks(labels={"a": "b"}, annotations={"c": "d"})),
    "names": Rule(RUN, asks(tags=(Reference.parse("a:1"), Reference.parse("b:1")))),
    "jobs": Rule(RUN, asks(jobs=7)),
    "the stage that is named": Rule(f"{_NAMED}{RUN}\nFROM one\nRUN true", asks(target="one")),
    "where a host is": Rule(RUN, asks(extra_hosts=(ExtraHost("a", "192.0.2.2"),)),
        prepare=asks(extra_hosts=(ExtraHost("a", "192.0.2.1"),))),
    "contexts that are not used": Rule(RUN, asks(contexts={"other": "/etc"})),
    "argument": Rule(_ARGUMENT, asks(build_args={"A": "2"}), ("RUN",), asks(build_args={"A": "1"})),
    "argument that is not used": Rule("ARG A\nRUN true", asks(build_args={"A": "1"}), ("RUN",)),
    "a proxy that is declared": Rule("ARG http_proxy\nRUN true", asks(build_args={"http_proxy": "a"}), ("RUN",)),
    "argument for a COPY": Rule("ARG A=a\nCOPY src/$A /", asks(build_args={"A": "b"}), ("COPY src",)),
    "argument for a COPY after a RUN": Rule("RUN true\nARG A=a\nCOPY src/$A /", asks(build_args={"A": "b"}),
        ("COPY src",)),
    "network": Rule(RUN, asks(network=Network.NONE), ("RUN",)),
    "names of hosts": Rule(RUN, asks(extra_hosts=(ExtraHost("a", "192.0.2.1"),)), ("RUN",)),
    "other names of hosts": Rule(RUN, asks(extra_hosts=(ExtraHost("b", "192.0.2.1"),)), ("RUN",),
        asks(extra_hosts=(ExtraHost("a", "192.0.2.1"),))),
    "--shm-size": Rule(RUN, asks(shm_size=1 << 20), ("RUN",)),
    "another --shm-size": Rule(RUN, asks(shm_size=2 << 20), ("RUN",), asks(shm_size=1 << 20)),
    "--ulimit": Rule(RUN, asks(ulimits=(Ulimit("nofile", 20, 30),)), ("RUN",)),
    "another --ulimit": Rule(RUN, asks(ulimits=(Ulimit("nofile", 20, 40),)), ("RUN",), asks(ulimits=(Ulimit("nofile",
        20, 30),))),
    "name of the machine": Rule(RUN, asks(build_args={"BUILDKIT_SANDBOX_HOSTNAME": "a"}), ("RUN",)),
    "namespace of caches": Rule("RUN --mount=type=cache,target=/c true",
        asks(build_args={"BUILDKIT_CACHE_MOUNT_NS": "a"}), ("RUN",)),
    "time of directories": Rule("WORKDIR /a\nRUN true", asks(build_args={"SOURCE_DATE_EPOCH": "5"}), ("WORKDIR",
        "RUN")),
    "a time without directories": Rule(COPY, asks(build_args={"SOURCE_DATE_EPOCH": "5"})),
    "the files of a context with a name": Rule("COPY --from=other a /", asks(contexts={"other": "src/d"}),
        ("COPY --from",),
        all_of(write("src/d/a", "other"), asks(contexts={"other": "src"}))),
}  # fmt: skip


def stages(made: str, script: str, *, same: bool, then: str = "COPY --from=made /o /o\nRUN true") -> Rule:
    """Return the rule for a stage that makes ``/o`` by another script, and what stands on that."""
    text = f"{SHELL.replace('scratch', 'scratch AS made')}RUN mkdir /o; {{}} # builder\n{SHELL}{then}"
    ran = ("# builder",) if same else ("# builder", *(line.partition(" /")[0] for line in then.splitlines()))
    return becomes(text.format(made), text.format(script), *ran)


_MADE = "echo x > /o/f"
_MOUNTED, _CACHED = (
    f"RUN --mount={options} true" for options in ("from=made,target=/m,source=/o", f"{_CACHE},from=made,source=/o")
)


def _attribute(value: str) -> Change:
    """Write an archive of a file with an extended attribute."""

    def change(trial: Trial) -> None:
        with tarfile.open(trial.bench.context / "src/a.tar", "w") as archive:
            member = tarfile.TarInfo("f")
            member.pax_headers = {"SCHILY.xattr.user.a": value}
            archive.addfile(member)

    return change


STAGES = {
    "made otherwise": stages(_MADE, "touch /o/f; echo x >> /o/f", same=True),
    "made otherwise and mounted": stages(_MADE, "touch /o/f; echo x >> /o/f", same=True, then=_MOUNTED),
    "made otherwise for a cache": stages(_MADE, "touch /o/f; echo x >> /o/f", same=True, then=_CACHED),
    "made at another time": stages(_MADE, f"{_MADE}; touch -d @5 /o/f", same=True),
    "something else made beside": stages(_MADE, f"{_MADE}; echo y > /other", same=True),
    "a link made otherwise": stages("ln -s x /o/l", "ln -s y /o/l; ln -sf x /o/l", same=True),
    "other bytes": stages(_MADE, "echo y > /o/f", same=False),
    "other bytes mounted": stages(_MADE, "echo y > /o/f", same=False, then=_MOUNTED),
    "other bytes for a cache": stages(_MADE, "echo y > /o/f", same=False, then=_CACHED),
    "another mode": stages(_MADE, f"{_MADE}; chmod 600 /o/f", same=False),
    "another user": stages(_MADE, f"{_MADE}; chown 5 /o/f", same=False),
    "another group": stages(_MADE, f"{_MADE}; chown :5 /o/f", same=False),
    "another owner of a directory": stages("mkdir /o/d", "mkdir /o/d; chown 5 /o/d", same=False),
    "another owner of a link": stages("ln -s x /o/l", "ln -s x /o/l; chown -h 5 /o/l", same=False),
    "another name": stages(_MADE, "echo x > /o/g", same=False),
    "another target": stages("ln -s x /o/l", "ln -s y /o/l", same=False),
    "another type": stages("mkdir /o/x", "mkfifo -m 755 /o/x", same=False),
    "another device": stages("mknod /o/x c 1 3", "mknod /o/x c 1 5", same=False),
    "another attribute": Rule(f"FROM scratch AS made\nADD src/a.tar /o\n{SHELL}COPY --from=made /o /o\nRUN true",
        _attribute("2"), ("ADD", "COPY --from", "RUN"), _attribute("1")),
    "a file more": stages(_MADE, f"{_MADE}; touch /o/g", same=False),
    "two names of one file": stages(f"{_MADE}; echo x > /o/g", f"{_MADE}; ln /o/f /o/g", same=False),
    "a file for a link": stages("ln -s x /o/l", "echo -n x > /o/l", same=False),
    "other files below a link": stages(_MADE, "echo y > /o/f", same=False,
        then="COPY --from=made --link /o /o\nRUN true"),
    "the same files below a link": stages(_MADE, f"{_MADE}; true", same=True,
        then="COPY --from=made --link /o /o\nRUN true"),
    "paths in a stage": becomes(f"{SHELL}FROM scratch\nCOPY --from=0 bin/busybox /x\nCOPY src /",
        f"{SHELL}FROM scratch\nCOPY --from=0 bin /x\nCOPY src /",
        "COPY --from", "COPY src"),
    "--parents of a stage": becomes(
        f"{SHELL}COPY src /src\nFROM scratch\nCOPY --from=0 /src/d/e /x/",
        f"{SHELL}COPY src /src\nFROM scratch\nCOPY --from=0 --parents /src/d/e /x/", "COPY --from"),
    "what is left out of a stage": becomes(f"{SHELL}COPY src /src\nFROM scratch\nCOPY --from=0 src /x",
        f"{SHELL}COPY src /src\nFROM scratch\nCOPY --from=0 --exclude=b src /x",
        "COPY --from"),
    "both the base and the stage": Rule(
        f"{SHELL}RUN echo x > /x # builder 1\n{SHELL}COPY src /src\nCOPY --from=0 /x /x\nRUN cat /src/a",
        all_of(write("src/a", "x"),
        reads(f"{SHELL}RUN echo x > /x # builder 2\n{SHELL}COPY src /src\nCOPY --from=0 /x /x\nRUN cat /src/a")),
        ("builder", "COPY src", "COPY --from", "RUN cat"),
    ),
    "what lies below a link": becomes(f"{SHELL}RUN echo 1 > /x\nCOPY --link src /src\nRUN cat /x",
        f"{SHELL}RUN echo 2 > /x\nCOPY --link src /src\nRUN cat /x",
        "RUN echo", "RUN cat"),
    "what lies below a link that is copied": becomes(
        f"{SHELL}RUN echo 1 > /x\nCOPY --link src /src\nFROM scratch\nCOPY --from=0 /x /x",
        f"{SHELL}RUN echo 2 > /x\nCOPY --link src /src\nFROM scratch\nCOPY --from=0 /x /x",
        "RUN echo", "COPY --from"),
    "what lies below a link that is mounted": becomes(
        f"{_NAMED}RUN echo 1 > /x\nCOPY --link src /src\n{SHELL}RUN --mount=from=one,target=/m cat /m/x",
        f"{_NAMED}RUN echo 2 > /x\nCOPY --link src /src\n{SHELL}RUN --mount=from=one,target=/m cat /m/x",
        "RUN echo", "RUN --mount"),
    "equal stages": becomes(f"{SHELL}{RUN}\nFROM scratch\nCOPY --from=0 /x /",
        f"{SHELL}{RUN}\n{SHELL}{RUN}\nFROM scratch\nCOPY --from=1 /x /"),
}  # fmt: skip


def _base(tag: str, text: str) -> Change:
    """Build an image for others to stand on."""

    def change(trial: Trial) -> None:
        built = trial.bench.build(text, tags=(Reference.parse(tag),), **trial.request)
        assert not built.error, built.error

    return change


_TAKING = 'FROM scratch\nCOPY --from=base:1 /bin /bin\nRUN --mount=from=base:1,target=/m ["/m/bin/busybox"]'
_OTHER = Platform("linux", "arm64" if Platform.host().architecture != "arm64" else "amd64")
_ON_BASE = "FROM base:1\nRUN echo x > /x\nCOPY src /src"

BASES = {
    "the same layers under another name": Rule(_ON_BASE, all_of(_base("other:1", SHELL), reads(_ON_BASE.replace("base",
        "other"))),
        prepare=_base("base:1", SHELL)),
    "the same layers with another config": Rule(_ON_BASE, _base("base:1", f"{SHELL}LABEL a=b\nCMD x\n"),
        prepare=_base("base:1", SHELL)),
    "the same layers for a COPY": Rule(_TAKING,
        _base("base:1", f"{SHELL}LABEL a=b\nCMD x\n"), prepare=_base("base:1", SHELL)),
    "a layer more": Rule(_ON_BASE, _base("base:1", f"{SHELL}COPY src /other\n"), ("RUN", "COPY"), _base("base:1",
        SHELL)),
    "a layer more, but the same files for a COPY": Rule(_TAKING,
        _base("base:1", f"{SHELL}COPY src /other\n"), ("RUN",), _base("base:1", SHELL)),
    "other files for a COPY": Rule(_TAKING,
        _base("base:1", f"{SHELL}COPY src /bin/src\n"), ("COPY", "RUN"), _base("base:1", SHELL)),
    "its environment": Rule(_ON_BASE, _base("base:1", f"{SHELL}ENV A=1\n"), ("RUN",), _base("base:1", SHELL)),
    "its working directory": Rule(_ON_BASE, _base("base:1", f"{SHELL}WORKDIR /d\nWORKDIR /\n"), ("RUN",),
        _base("base:1", f"{SHELL}WORKDIR /d\n")),
    "its shell": Rule(_ON_BASE, _base("base:1", SHELL.replace('"sh"', '"ash"')), ("RUN",), _base("base:1",
        SHELL)),
    "its platform": Rule(_ON_BASE, all_of(asks(platform=_OTHER), _base("base:1", SHELL)), ("RUN",),
        _base("base:1", SHELL)),
    "its user": Rule("FROM base:1\nRUN true\nCOPY src /src", _base("base:1", f"{SHELL}USER 5\n"), ("RUN",),
        _base("base:1", SHELL)),
}  # fmt: skip

RULES = {
    f"{group} {name}": rule
    for group, rules in (
        ("context:", CONTEXT),
        ("Dockerfile:", DOCKERFILE),
        ("mount:", MOUNTS),
        ("request:", REQUEST),
        ("stage:", STAGES),
        ("base:", BASES),
    )
    for name, rule in rules.items()
}


ONLY_ROOT = frozenset({"context: owner", "context: owner of a directory", "stage: another device"})
"""Changes that take more than a user may do, or has IDs for."""
RULES_BY_NAME = [
    pytest.param(rule, id=name, marks=needs_root if name in ONLY_ROOT else ()) for name, rule in RULES.items()
]


@pytest.mark.parametrize("rule", RULES_BY_NAME)
def test_what_runs_again_after_a_change(rule: Rule, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add_shell()
    for name in ("a", "b"):
        bench.write(f"src/{name}", name)
    bench.write("src/d/e", "e")
    (bench.context / "src/empty").mkdir()
    (bench.context / "src/link").symlink_to("a")
    monkeypatch.chdir(bench.context)
    trial = Trial(bench, rule.text)
    rule.prepare(trial)
    _build(trial)
    rule.change(trial)
    steps = _build(trial)
    again = {label for label, outcome in steps.items() if outcome == "ran"}
    assert again == {label for label in steps if any(part in label for part in rule.ran)}
    assert all(any(part in label for label in again) for part in rule.ran)


def _build(trial: Trial) -> dict[str, str]:
    text = trial.text if "FROM" in trial.text else SHELL + trial.text
    built = trial.bench.build(f"{text}\n", **trial.request)
    assert not built.error, built.error + built.output
    return built.steps
