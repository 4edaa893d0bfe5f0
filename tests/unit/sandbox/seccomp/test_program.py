from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocibuild.errors import SandboxError
from ocibuild.sandbox.seccomp import ABIS, ALLOW, HIGHEST, KILL, NOTIFY, Action, Condition, Rule, compile_rules, refuse
from ocibuild.sandbox.seccomp.numbers import _BY_ABI, _COMMON, ABI
from tests.support.bpf import run_filter

NAMES = sorted({*_BY_ABI, *_COMMON})
CALLS = [(machine, abi) for machine, abis in ABIS.items() for abi in abis]
WORDS = st.one_of(
    st.integers(0, 1 << 64).map(lambda value: value & ((1 << 64) - 1)),
    st.sampled_from([0, 1, 40, (1 << 32) - 1, 1 << 32, (1 << 64) - 1, 40 | 1 << 32]),
)
ACTIONS = st.one_of(st.sampled_from([ALLOW, KILL, NOTIFY]), st.integers(0, 4095).map(refuse))
CONDITIONS = st.builds(Condition, st.integers(0, 5), WORDS, st.none() | WORDS)
RULES = st.builds(
    Rule,
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5).map(tuple),
    ACTIONS,
    st.lists(CONDITIONS, max_size=4).map(tuple),
)


def _expected(rules: list[Rule], abi: ABI, number: int, arguments: tuple[int, ...], newest: int | None) -> Action:
    for rule in rules:
        if number in [abi.number(name) for name in rule.names] and all(
            _holds(condition, arguments[condition.argument]) for condition in rule.when
        ):
            return rule.action
    bare = number - abi.offset
    exists = newest is None or bare <= newest or bare in abi.private
    return ALLOW if exists else refuse(errno.ENOSYS)


def _holds(condition: Condition, argument: int) -> bool:
    found = argument & condition.bits
    return found != 0 if condition.value is None else found == condition.value


def _answer(program: bytes, machine: str, abi: ABI, number: int, arguments: tuple[int, ...]) -> int:
    return run_filter(program, number=number, arch=abi.audit_arch, arguments=arguments, big_endian=machine == "s390x")


@settings(max_examples=300, deadline=None)
@given(
    rules=st.lists(RULES, max_size=12),
    call=st.sampled_from(CALLS),
    newest=st.none() | st.integers(400, HIGHEST),
    inputs=st.data(),
)
def test_program_decides_as_the_rules_do(
    rules: list[Rule], call: tuple[str, ABI], newest: int | None, inputs: st.DataObject
) -> None:
    machine, abi = call
    program = compile_rules(rules, machine=machine, newest=newest)
    known = [number for rule in rules for name in rule.names if (number := abi.number(name)) is not None]
    near = [number + step for number in known for step in (-1, 0, 1)]
    edges = [abi.offset + number for number in (0, 399, HIGHEST, HIGHEST + 1, 511, 512, 547, 548, 0xF0005, 0xF0007)]
    # values that the conditions are about, and what differs from them a little
    values = [value for rule in rules for condition in rule.when for value in condition[1:] if value is not None]
    words = st.one_of(WORDS, st.sampled_from([0, *values, *(value ^ 1 << 33 for value in values)]))
    for _ in range(8):
        number = inputs.draw(st.sampled_from([number for number in near + edges if number >= abi.offset]))
        arguments = inputs.draw(st.tuples(*[words] * 6))
        got = _answer(program, machine, abi, number, arguments)
        assert got == _expected(rules, abi, number, arguments, newest)


@pytest.mark.parametrize(("machine", "abi"), CALLS, ids=[f"{machine}-{abi.name}" for machine, abi in CALLS])
def test_jumps_reach_over_more_than_their_width(machine: str, abi: ABI) -> None:
    rules = [
        Rule((name,), refuse(index), tuple(Condition(place, 1 << 40 | 1, 1) for place in (0, 5)))
        for index, name in enumerate(NAMES[::2])
    ]
    program = compile_rules(rules, machine=machine)
    assert len(program) // 8 > 500
    for odd in (0, 1, 1 << 40 | 1):
        for name in NAMES:
            number = abi.number(name)
            if number is not None:
                arguments = (1, 1, 1, 1, 1, odd)
                assert _answer(program, machine, abi, number, arguments) == _expected(
                    rules, abi, number, arguments, None
                )


def test_program_longer_than_the_kernel_takes_is_an_error() -> None:
    rules = [
        Rule((name,), refuse(index), tuple(Condition(place, 3 << 31, 1 << 31) for place in range(6)))
        for index, name in enumerate(NAMES)
    ]
    with pytest.raises(ValueError, match="takes no filter of"):
        compile_rules(rules, machine="x86_64")


def test_other_architecture_is_killed() -> None:
    program = compile_rules([], machine="aarch64")
    assert run_filter(program, number=0, arch=0xC000003E, arguments=(0,) * 6) == KILL


def test_unknown_machine_is_an_error() -> None:
    with pytest.raises(SandboxError, match="system calls on vax"):
        compile_rules([], machine="vax")
