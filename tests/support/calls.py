"""System calls made by a program in a step, or in anybody's container, and what became of each.

The program is perl's, which every Debian has: its ``syscall`` takes any number.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TypeAlias

from demo.elf import libraries_of
from ocibuild.sandbox.seccomp import ABIS
from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Call: TypeAlias = tuple[int, ...]
"""A number and arguments."""

# a process a call, which survives none; one that forks tells of it twice
_PROBE = r"""
$| = 1;
for my $call (@ARGV) {
    my ($number, @arguments) = split /,/, $call;
    my $pid = fork;
    if (!$pid) {
        alarm 2;
        open STDIN, "<", "/dev/null";
        my $result = syscall $number, map { $_ + 0 } @arguments;
        my $failure = $result == -1 ? $! + 0 : 0;
        print "$call $failure\n";
        kill 9, $$;
    }
    waitpid $pid, 0;
    print "$call ", -($? & 127), "\n" if ($? & 127) != 9;
}
"""


def call(name: str, *arguments: int) -> Call:
    """Return a call by its name on this machine; whatever is not given is -1, which hardly any call takes."""
    number = ABIS[os.uname().machine][0].number(name)
    assert number is not None, f"there is no {name} here"
    return number, *arguments, *[-1] * (6 - len(arguments))


def probing(calls: Iterable[Call]) -> list[str]:
    """Return the command that makes calls; ``outcomes`` reads what it prints."""
    return [require_peer("perl"), "-e", _PROBE, *(",".join(map(str, words)) for words in calls)]


def outcomes(printed: str) -> dict[Call, int]:
    """Return the errno of each call, 0 for success, or minus the signal that it ended with."""
    rows = (line.split() for line in printed.splitlines())
    return {tuple(map(int, words.split(","))): int(outcome) for words, outcome in rows}


def add_perl(folder: Path) -> None:
    """Copy the machine's perl and what it loads into a root."""
    program = require_peer("perl")
    for path in (program, *libraries_of(program)):
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
