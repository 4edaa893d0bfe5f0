"""Filters for the system calls of steps: rules, the program made of them, and its installation."""

from ocibuild.sandbox.seccomp.install import install
from ocibuild.sandbox.seccomp.numbers import ABIS, HIGHEST
from ocibuild.sandbox.seccomp.program import (
    ALLOW,
    KILL,
    NOTIFY,
    Action,
    Condition,
    Rule,
    any_of,
    compile_rules,
    equal_int,
    refuse,
)

__all__ = [
    "ABIS",
    "ALLOW",
    "HIGHEST",
    "KILL",
    "NOTIFY",
    "Action",
    "Condition",
    "Rule",
    "any_of",
    "compile_rules",
    "equal_int",
    "install",
    "refuse",
]
