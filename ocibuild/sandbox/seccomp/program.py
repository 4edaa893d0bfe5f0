"""Rules for system calls, and the classic BPF program that has the kernel follow them; see seccomp(2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NewType, TypeAlias

from ocibuild.errors import SandboxError
from ocibuild.sandbox.seccomp.numbers import ABIS
from ocibuild.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocibuild.sandbox.seccomp.numbers import ABI

Action = NewType("Action", int)
"""What becomes of a system call: a SECCOMP_RET_ value."""

ALLOW = Action(0x7FFF0000)
NOTIFY = Action(0x7FC00000)
KILL = Action(0x80000000)


def refuse(number: int) -> Action:
    """Return the action that has a call fail with an errno, undone; 0 is success, for what is only to look done."""
    return Action(0x00050000 | number)


_NOT_IMPLEMENTED = refuse(38)  # ENOSYS of every architecture here
_INT = (1 << 32) - 1


class Condition(NamedTuple):
    """What must hold for one argument, numbered from 0: these bits of it are ``value``, or where that is None, one of
    them is set.
    """

    argument: int
    bits: int
    value: int | None


def equal_int(argument: int, value: int) -> Condition:
    """Return the condition for an argument that the kernel takes for an int: of its upper half it sees nothing."""
    return Condition(argument, _INT, value)


def any_of(argument: int, bits: int) -> Condition:
    """Return the condition that an argument has at least one of some bits."""
    return Condition(argument, bits, None)


class Rule(NamedTuple):
    """The action for some system calls, where all of ``when`` holds; an ABI need not have each of them."""

    names: tuple[str, ...]
    action: Action
    when: tuple[Condition, ...] = ()


def compile_rules(rules: Sequence[Rule], *, machine: str, newest: int | None = None) -> bytes:
    """Return the filter for a machine, as uname(2) names it: an array of struct sock_filter.

    The first rule that matches decides; what none matches is allowed. Numbers above ``newest``, where it is given,
    are calls that do not exist. A process that calls the kernel as another architecture would is killed.
    Raises SandboxError for a machine whose numbers are not known.
    """
    if machine not in ABIS:
        raise SandboxError(f"the numbers of system calls on {machine} are not known: steps cannot be confined there")
    abis = ABIS[machine]
    ranges: dict[int, list[_Range]] = {}
    for abi in abis:
        # ABIs of one architecture follow each other in the order of their offsets
        ranges.setdefault(abi.audit_arch, []).extend(_ranges(rules, abi, newest))
    program = _Program(byte_order=">" if machine == "s390x" else "<")
    start = program.answer(KILL)
    for audit_arch, found in reversed(ranges.items()):
        chosen = program.load(_NUMBER, program.choose(found))
        start = program.jump(_EQUAL, audit_arch, chosen, start)
    program.load(_ARCH, start)
    return program.assemble()


class _Case(NamedTuple):
    """An action, and when; the last of a chain of cases has no condition."""

    action: Action
    when: tuple[Condition, ...]


class _Range(NamedTuple):
    """The system calls from ``start`` up to the next range, and the chain of cases that decides them."""

    start: int
    cases: tuple[_Case, ...]


def _ranges(rules: Iterable[Rule], abi: ABI, newest: int | None) -> Iterator[_Range]:
    """Yield the ranges of an ABI in order, no two neighbours alike."""
    chains = _chains(rules, abi)
    bounds = {abi.offset, *chains, *(number + 1 for number in chains)}
    if newest is not None:
        bounds |= {abi.offset + number for number in (newest + 1, abi.private.start, abi.private.stop)}
    last: tuple[_Case, ...] = ()
    for start in sorted(bounds):
        number = start - abi.offset
        exists = newest is None or number <= newest or number in abi.private
        otherwise = _Case(ALLOW if exists else _NOT_IMPLEMENTED, ())
        cases = _up_to_first_unconditional([*chains.get(start, ()), otherwise])
        if cases != last:
            yield _Range(start, cases)
        last = cases


def _chains(rules: Iterable[Rule], abi: ABI) -> dict[int, list[_Case]]:
    chains: dict[int, list[_Case]] = {}
    for rule in rules:
        for name in rule.names:
            number = abi.number(name)
            if number is not None:
                chains.setdefault(number, []).append(_Case(rule.action, rule.when))
    return chains


def _up_to_first_unconditional(cases: Sequence[_Case]) -> tuple[_Case, ...]:
    end = next(index for index, case in enumerate(cases) if not case.when)
    return tuple(cases[: end + 1])


_LOAD, _AND, _RETURN, _GO = 0x20, 0x54, 0x06, 0x05  # BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND, BPF_RET, BPF_JMP|BPF_JA
_EQUAL, _AT_LEAST, _ANY_SET = 0x15, 0x35, 0x45  # BPF_JMP with BPF_JEQ, BPF_JGE, BPF_JSET
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # where struct seccomp_data has them
_FARTHEST = 255
_LONGEST = 4096  # BPF_MAXINSNS

_Place: TypeAlias = int


class _Program:
    """A program that is written from its end to its start, so that every jump goes to what is there already.

    A place is the number of instructions from one, that one included, to the end.
    """

    def __init__(self, *, byte_order: str) -> None:
        self._instruction = struct.Struct(f"{byte_order}HBBI")
        self._halves = (4, 0) if byte_order == ">" else (0, 4)  # of an argument: the lower one first
        self._reversed: list[bytes] = []
        self._answers: dict[Action, _Place] = {}
        self._chains: dict[tuple[_Case, ...], _Place] = {}

    def assemble(self) -> bytes:
        """Return the program."""
        if len(self._reversed) > _LONGEST:
            raise ValueError(f"the kernel takes no filter of {len(self._reversed)} instructions")
        return b"".join(reversed(self._reversed))

    def _add(self, code: int, value: int, if_true: int = 0, if_false: int = 0) -> _Place:
        self._reversed.append(self._instruction.pack(code, if_true, if_false, value))
        return len(self._reversed)

    def _distance(self, place: _Place) -> int:
        return len(self._reversed) - place

    def _near(self, place: _Place) -> _Place:
        """Return a place that goes to ``place`` and is near enough for a jump, with room for another such."""
        if self._distance(place) < _FARTHEST:
            return place
        return self._add(_GO, self._distance(place))

    def load(self, offset: int, then: _Place) -> _Place:
        """Load a word of struct seccomp_data, and go on at ``then``."""
        if self._distance(then):
            self._add(_GO, self._distance(then))
        return self._add(_LOAD, offset)

    def jump(self, test: int, value: int, yes: _Place, no: _Place) -> _Place:
        """Test what is loaded, and go on at one of two places."""
        yes = self._near(yes)
        no = self._near(no)
        return self._add(test, value, self._distance(yes), self._distance(no))

    def answer(self, action: Action) -> _Place:
        """End with an action."""
        if action not in self._answers:
            self._answers[action] = self._add(_RETURN, action)
        return self._answers[action]

    def choose(self, ranges: Sequence[_Range]) -> _Place:
        """Find the range of the number that is loaded, by halves, and decide by its cases."""
        if len(ranges) == 1:
            return self._decide(ranges[0].cases)
        middle = len(ranges) // 2
        above = self.choose(ranges[middle:])
        below = self.choose(ranges[:middle])
        return self.jump(_AT_LEAST, ranges[middle].start, above, below)

    def _decide(self, cases: tuple[_Case, ...]) -> _Place:
        if cases not in self._chains:
            *conditional, last = cases
            place = self.answer(last.action)
            for case in reversed(conditional):
                place = self._match(case.when, self.answer(case.action), place)
            self._chains[cases] = place
        return self._chains[cases]

    def _match(self, conditions: Sequence[Condition], yes: _Place, no: _Place) -> _Place:
        for condition in reversed(conditions):
            if condition.value is None:
                yes = self._test_any(condition.argument, condition.bits, yes, no)
            else:
                yes = self._test_equal(condition, condition.value, yes, no)
        return yes

    def _test_any(self, argument: int, bits: int, yes: _Place, no: _Place) -> _Place:
        for shift, half in zip((32, 0), reversed(self._halves), strict=True):
            if wanted := bits >> shift & _INT:
                no = self.load(_ARGUMENTS + 8 * argument + half, self.jump(_ANY_SET, wanted, yes, no))
        return no

    def _test_equal(self, condition: Condition, value: int, yes: _Place, no: _Place) -> _Place:
        for shift, half in zip((32, 0), reversed(self._halves), strict=True):
            bits, wanted = condition.bits >> shift & _INT, value >> shift & _INT
            if bits or wanted:
                place = self.jump(_EQUAL, wanted, yes, no)
                if bits != _INT:
                    place = self._add(_AND, bits)
                yes = self.load(_ARGUMENTS + 8 * condition.argument + half, place)
        return yes
