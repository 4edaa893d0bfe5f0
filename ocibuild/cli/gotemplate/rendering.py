"""Nodes written out for a value."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, assert_never

from ocibuild.cli.gotemplate.functions import LAZY
from ocibuild.cli.gotemplate.nodes import Action, Block, Function, Literal, Member, Nested, Text, Variable
from ocibuild.cli.gotemplate.values import is_true, items_of, written
from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ocibuild.cli.gotemplate.nodes import Command, Node, Operand, Pipeline


_MAPS = frozenset({"Labels", "ExposedPorts", "Volumes", "Annotations"})
"""Members whose own members are any, where all others are known: one that is missing has no value."""


def render(nodes: Sequence[Node], value: object, functions: Mapping[str, Callable[..., object]]) -> str:
    """Return what a template gives for a value; raises UsageError where the value is not what it takes it for."""
    return "".join(_Rendering(value, functions).write(nodes, value))


def _fail(problem: str) -> NoReturn:
    raise UsageError(f"--format: {problem}")


class _Rendering:
    """The variables of one rendering, innermost last."""

    def __init__(self, root: object, functions: Mapping[str, Callable[..., object]]) -> None:
        self._functions = functions
        self._variables: list[tuple[str, object]] = [("", root)]

    def write(self, nodes: Sequence[Node], dot: object) -> Iterator[str]:
        """Yield the text of nodes where ``.`` is ``dot``."""
        for node in nodes:
            match node:
                case Text():
                    yield node.text
                case Action():
                    value = self._value(node.pipeline, dot)
                    if not node.pipeline.declared:
                        yield written(value)
                case Block():
                    yield from self._block(node, dot)
                case _:
                    assert_never(node)

    def _block(self, block: Block, dot: object) -> Iterator[str]:
        known = len(self._variables)
        if block.keyword == "range":
            yield from self._range(block, dot)
        else:
            value = self._value(block.pipeline, dot)
            if is_true(value):
                yield from self.write(block.body, value if block.keyword == "with" else dot)
            else:
                yield from self.write(block.otherwise, dot)
        del self._variables[known:]

    def _range(self, block: Block, dot: object) -> Iterator[str]:
        value = self._commands(block.pipeline.commands, dot)
        try:
            items = items_of(value)
        except TypeError:
            _fail(f"range cannot go through {written(value)}")
        known = len(self._variables)
        for key, item in items:
            declared = block.pipeline.declared
            values = (item,) if len(declared) == 1 else (key, item)
            for name, one in zip(declared, values, strict=False):
                self._set(name, one, assigns=block.pipeline.assigns)
            yield from self.write(block.body, item)
            del self._variables[known:]
        if not items:
            yield from self.write(block.otherwise, dot)

    def _set(self, name: str, value: object, *, assigns: bool) -> None:
        if not assigns:
            self._variables.append((name, value))
            return
        place = max(place for place, (known, _) in enumerate(self._variables) if known == name)
        self._variables[place] = (name, value)

    def _value(self, pipeline: Pipeline, dot: object) -> object:
        value = self._commands(pipeline.commands, dot)
        for name in pipeline.declared:
            self._set(name, value, assigns=pipeline.assigns)
        return value

    def _commands(self, commands: Sequence[Command], dot: object) -> object:
        value: object = None
        for place, command in enumerate(commands):
            value = self._command(command, dot, (value,) if place else ())
        return value

    def _command(self, command: Command, dot: object, piped: tuple[object, ...]) -> object:
        first, *rest = command.words
        if not isinstance(first, Function):
            return self._operand(first, dot)
        if first.name in LAZY:
            return self._decided(first.name, rest, dot, piped)
        return self._call(first, [*(self._operand(word, dot) for word in rest), *piped])

    def _decided(self, name: str, words: Sequence[Operand], dot: object, piped: tuple[object, ...]) -> object:
        """Return the first value that decides an ``and`` or ``or``, else the last."""
        value: object = None
        for value in chain((self._operand(word, dot) for word in words), piped):
            if is_true(value) == (name == "or"):
                return value
        return value

    def _call(self, function: Function, arguments: Sequence[object]) -> object:
        try:
            return self._functions[function.name](*arguments)
        except (TypeError, ValueError, LookupError) as error:
            given = ", ".join(written(one)[:40] for one in arguments)
            raise UsageError(f"--format: {function.name} cannot be applied to ({given}): {error}") from error

    def _operand(self, operand: Operand, dot: object) -> object:
        match operand:
            case Member():
                return _member(dot, operand.names)
            case Variable():
                value = next(value for name, value in reversed(self._variables) if name == operand.name)
                return _member(value, operand.names)
            case Literal():
                return operand.value
            case Function():
                return self._call(operand, [])
            case Nested():
                return _member(self._value(operand.pipeline, dot), operand.names)
            case _:
                assert_never(operand)


def _member(value: Any, names: Sequence[str]) -> object:
    for before, name in zip(("", *names), names, strict=False):
        if before in _MAPS and isinstance(value, dict | None):
            value = (value or {}).get(name)
            continue
        if not isinstance(value, dict):
            _fail(f"there is no member {name!r} in {written(value)[:80]}")
        if name not in value:
            there = ", ".join(sorted(value))
            _fail(f"there is no member {name!r}; " + (f"there are {there}" if there else "there is none at all"))
        value = value[name]
    return value
