from __future__ import annotations

import errno
import os
import pwd
import struct
from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import SandboxError
from ocibuild.sandbox import syscalls
from ocibuild.sandbox.seccomp import ABIS, ALLOW, compile_rules, profile, refuse
from tests.support.bpf import run_filter
from tests.support.calls import Call, add_perl, call, outcomes, probing
from tests.support.lab import LONELY, Lab, in_child, in_lab, needs_busybox, needs_root
from tests.support.setup_peers import ORDINARY_USER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ocibuild.sandbox.seccomp.numbers import ABI

EPERM, ENOSYS = errno.EPERM, errno.ENOSYS
SIGCHLD = 17
MACHINE = os.uname().machine
whoever = pytest.mark.parametrize("who", ["root", "one-id", "range"])

REFUSED = [
    call("unshare", syscalls.CLONE_NEWUSER),
    call("unshare", syscalls.CLONE_NEWNS),
    call("setns"),
    call("mount"),
    call("umount2"),
    call("pivot_root"),
    call("open_tree"),
    call("move_mount"),
    call("fsopen"),
    call("fsconfig"),
    call("fsmount"),
    call("fspick"),
    call("mount_setattr"),
    call("add_key"),
    call("request_key"),
    call("keyctl", 0, -3, 0),  # which session keyring is there
    call("io_uring_setup"),
    call("io_uring_enter"),
    call("io_uring_register"),
    call("bpf"),
    call("perf_event_open"),
    call("userfaultfd"),
    call("open_by_handle_at"),
    call("fanotify_init"),
    call("kcmp"),
    call("pidfd_getfd"),
    call("process_madvise"),
    call("kexec_load"),
    call("kexec_file_load"),
    call("init_module"),
    call("finit_module"),
    call("delete_module"),
    call("acct"),
    call("quotactl"),
    call("settimeofday"),
    call("clock_settime"),
    call("swapon"),
    call("swapoff"),
    call("reboot"),
    call("sethostname"),
    call("setdomainname"),
    call("syslog"),
    call("mbind"),
    call("move_pages"),
    call("lsm_list_modules"),
    call("personality", 0x0040000),  # ADDR_NO_RANDOMIZE
    call("personality", 0x0040000 | 1 << 33),
    call("socket", 38, 5, 0),  # AF_ALG
    call("socket", 40, 1, 0),  # AF_VSOCK
    call("socket", 40 | 1 << 32, 1, 0),
]
NOT_THERE = [call("clone3"), call("open_tree_attr"), call("file_setattr"), (9999, 0)]
ALLOWED = [
    call("socket", 1, 1, 0),
    call("socket", 2, 1, 0),
    call("socket", 10, 1, 0),
    call("socket", 16, 3, 0),
    call("personality", 0xFFFFFFFF),
    call("personality", 0),
    call("personality", 8),
    call("ptrace", 0, 0, 0, 0),
    call("pkey_alloc", 0, 0),
    call("capset", 0, 0),
]


def _clone(flags: int) -> Call:
    places = (0, flags | SIGCHLD) if MACHINE == "s390x" else (flags | SIGCHLD, 0)
    return call("clone", *places, 0, 0, 0)


NAMESPACES = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]


def _uid(who: str) -> int | None:
    if who == "range":
        try:
            return pwd.getpwnam(ORDINARY_USER).pw_uid
        except KeyError:
            pytest.skip(f"left out: there is no user {ORDINARY_USER}")
    return LONELY if who == "one-id" else None


def _probe(made: Lab, calls: Iterable[Call], **settings: object) -> dict[Call, int]:
    stack = [*made.base, made.snapshot(add_perl)]
    ended = made.run(*probing(calls), stack=stack, **settings)
    assert not ended.err
    return outcomes(ended.out)


@needs_root
@needs_busybox
@whoever
def test_step_is_refused_what_docker_refuses(who: str, tmp_path: Path) -> None:
    calls = [*REFUSED, *NOT_THERE, *ALLOWED, *map(_clone, (0, *NAMESPACES))]
    seen = in_lab(tmp_path, lambda made: _probe(made, calls), uid=_uid(who))
    assert {words: seen[words] for words in REFUSED} == dict.fromkeys(REFUSED, EPERM)
    assert {words: seen[words] for words in NOT_THERE} == dict.fromkeys(NOT_THERE, ENOSYS)
    assert not [words for words in ALLOWED if seen[words] in (EPERM, ENOSYS)]
    assert [seen[_clone(flag)] for flag in (0, *NAMESPACES)] == [0, *[EPERM] * len(NAMESPACES)]


@needs_root
@needs_busybox
def test_insecure_step_is_refused_nothing(tmp_path: Path) -> None:
    seen = in_lab(tmp_path, lambda made: _probe(made, [*REFUSED, call("clone3")], insecure=True))
    assert [words for words, outcome in seen.items() if outcome == EPERM] == []
    assert seen[call("clone3")] != ENOSYS


@needs_root
@needs_busybox
@whoever
def test_filter_is_in_force_and_takes_no_privilege_away(who: str, tmp_path: Path) -> None:
    def work(made: Lab) -> list[str]:
        script = "grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status"
        return [made.sh(script).out, made.sh(script, insecure=True).out]

    confined, insecure = in_lab(tmp_path, work, uid=_uid(who))
    sets, bare = (dict(line.split(":\t") for line in text.splitlines()) for text in (confined, insecure))
    assert sets["NoNewPrivs"] == bare["NoNewPrivs"]
    assert sets["Seccomp"] == "2"
    more = 0 if who == "one-id" else 1  # a step with one ID always has the filter of its supervisor
    assert int(sets["Seccomp_filters"]) == int(bare["Seccomp_filters"]) + more


@needs_root
@needs_busybox
@pytest.mark.parametrize("who", ["root", "range"])
def test_setuid_program_works_for_another_user(who: str, tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        add_perl(folder)
        (folder / "bin").mkdir(exist_ok=True)
        perl = folder / probing([])[0].lstrip("/")
        os.chmod(perl, 0o4755)

    def work(made: Lab) -> str:
        stack = [*made.base, made.snapshot(fill)]
        return made.run(probing([])[0], "-e", 'print "$< $>"', stack=stack, user="app").out

    assert in_lab(tmp_path, work, uid=_uid(who)) == "1000 0"


def _call_of_i386(*words: int) -> bytes:
    """Return: mov eax, number; mov ebx, ecx and edx, arguments; int 0x80."""
    moves = zip(b"\xb8\xbb\xb9\xba", words, strict=True)
    return b"".join(struct.pack("<BI", move, word & 0xFFFFFFFF) for move, word in moves) + b"\xcd\x80"


def _program_of_i386(calls: list[tuple[int, int, int, int]]) -> bytes:
    """Return an executable that makes calls as i386 does, with three arguments, and writes what each returns."""
    start, header = 0x10000, 52 + 32
    buffer = start + 0x1000
    code = b""
    for place, words in enumerate(calls):
        code += _call_of_i386(*words) + struct.pack("<BI", 0xA3, buffer + 4 * place)  # mov [buffer], eax
    code += _call_of_i386(4, 1, buffer, 4 * len(calls)) + _call_of_i386(1, 0, 0, 0)  # write, exit
    identity = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    elf = identity + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, start + header, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, start, start, header + len(code), 0x2000, 7, 0x1000)
    return elf + segment + code


@needs_root
@needs_busybox
@pytest.mark.skipif(MACHINE != "x86_64", reason="only x86_64 runs programs of i386")
def test_program_of_i386_is_refused_the_same(tmp_path: Path) -> None:
    def number(name: str) -> int:
        return ABIS["x86_64"][2].number(name) or 0

    calls = [
        (number("unshare"), syscalls.CLONE_NEWUSER, 0, 0),
        (number("keyctl"), 0, -3, 0),
        (number("clone3"), 0, 0, 0),
        (number("socket"), 40, 1, 0),
        (number("umount"), 0, 0, 0),
        (number("socket"), 1, 1, 0),
        (number("getuid32"), 0, 0, 0),
    ]

    def fill(folder: Path) -> None:
        (folder / "calls").write_bytes(_program_of_i386(calls))
        (folder / "calls").chmod(0o755)

    def work(made: Lab) -> list[int]:
        with_calls = [*made.base, made.snapshot(fill)]
        ended = made.run("/bin/sh", "-c", "/calls > /out; od -An -v -td4 /out", stack=with_calls)
        return [int(word) for word in ended.out.split()]

    descriptor = 3
    assert in_lab(tmp_path, work) == [-EPERM, -EPERM, -ENOSYS, -EPERM, -EPERM, descriptor, 0]


def _verdict(machine: str, abi: ABI, name: str, *arguments: int) -> int | None:
    """Return what the filter of a machine answers; None where the ABI has no such call."""
    program = compile_rules(profile.rules(machine), machine=machine, newest=profile.NEWEST)
    number, padded = abi.number(name), (*arguments, *[0] * (6 - len(arguments)))
    if number is None:
        return None
    return run_filter(program, number=number, arch=abi.audit_arch, arguments=padded, big_endian=machine == "s390x")


@pytest.mark.parametrize(
    ("machine", "abi"),
    [(machine, abi) for machine, abis in ABIS.items() for abi in abis],
    ids=lambda part: part if isinstance(part, str) else part.name,
)
def test_each_abi_of_each_machine_is_refused_the_same(machine: str, abi: ABI) -> None:
    for name in ("unshare", "mount", "keyctl", "bpf", "io_uring_setup"):
        assert _verdict(machine, abi, name) == refuse(EPERM)
    for name in ("chown", "fchownat", "execve", "setuid", "statx", "removexattrat"):
        assert _verdict(machine, abi, name) in (ALLOW, None)
    flags = (0, syscalls.CLONE_NEWUSER) if machine == "s390x" else (syscalls.CLONE_NEWUSER, 0)
    assert _verdict(machine, abi, "clone", *flags) == refuse(EPERM)
    assert _verdict(machine, abi, "clone", *reversed(flags)) == ALLOW
    assert _verdict(machine, abi, "clone3") == _verdict(machine, abi, "open_tree_attr") == refuse(ENOSYS)


@needs_root
def test_kernel_that_takes_no_filter_gives_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(program: bytes, flags: int) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(syscalls, "set_filter", refused)

    def work() -> tuple[str, str | None]:
        try:
            profile.enforce()
        except SandboxError as error:
            return error.message, error.remedy
        return "no error", None

    message, remedy = in_child(work)
    assert message == "system calls of a step cannot be filtered: Operation not permitted"
    assert remedy == "allow seccomp(2) where the build runs, with a kernel that has CONFIG_SECCOMP_FILTER"
