from __future__ import annotations

import ctypes
import itertools

import pytest

from ocibuild.sandbox.seccomp import numbers
from tests.support.peers import require_library

NAMES = sorted({*numbers._COMMON, *numbers._BY_ABI})
BY_NAME = {abi.name: abi for abi in itertools.chain(*numbers.ABIS.values())}


@pytest.mark.parametrize(
    "abi", [abi for name, abi in BY_NAME.items() if name != "loongarch64"], ids=lambda abi: abi.name
)
def test_numbers_are_those_of_libseccomp(abi: numbers.ABI) -> None:
    library = require_library("libseccomp.so.2")
    arch = 0x4000003E if abi.name == "x32" else abi.audit_arch  # SCMP_ARCH_X32 is its own
    theirs = {}
    for name in NAMES:
        number = library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(arch), name.encode())
        if number >= 0:
            theirs[name] = number
    ours = {name: number for name in NAMES if (number := abi.number(name)) is not None}
    assert {name: ours.get(name) for name in theirs} == theirs
    assert len(theirs) > 100


def test_generic_numbers_are_alike_everywhere() -> None:
    arm64, riscv64, loongarch64 = (BY_NAME[name] for name in ("aarch64", "riscv64", "loongarch64"))
    assert all(arm64.number(name) == riscv64.number(name) == loongarch64.number(name) for name in NAMES)


@pytest.mark.parametrize("abi", BY_NAME.values(), ids=lambda abi: abi.name)
def test_no_two_names_have_one_number(abi: numbers.ABI) -> None:
    known = [number for name in NAMES if (number := abi.number(name)) is not None]
    assert len(set(known)) == len(known)
    assert all(number - abi.offset <= numbers.HIGHEST or number - abi.offset in abi.private for number in known)


def test_a_call_that_nobody_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="mknodd"):
        BY_NAME["x86_64"].number("mknodd")
