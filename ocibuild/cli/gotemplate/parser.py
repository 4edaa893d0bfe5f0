"""From the text of a template to its nodes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NoReturn

from ocibuild.cli.gotemplate.nodes import (
    Action,
    Block,
    Command,
    Function,
    Literal,
    Member,
    Nested,
    Pipeline,
    Text,
    Variable,
)
from ocibuild.cli.gotemplate.scanner import Word, scan
from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ocibuild.cli.gotemplate.nodes import Node, Operand
    from ocibuild.cli.gotemplate.scanner import Piece

_BLOCKS = frozenset({"if", "with", "range"})
_REFUSED = frozenset({"define", "template", "block", "break", "continue"})
_CONSTANTS = {"true": True, "false": False, "nil": None}
_DEEPEST = 50  # blocks and brackets in one another


def parse(template: str, functions: Collection[str]) -> tuple[Node, ...]:
    """Return the nodes of a template that may call these functions; raises UsageError for what it cannot mean."""
    reader = _Reader(scan(template), functions)
    nodes = reader.nodes()
    if reader.ended_by:
        _fail(f"unexpected {{{{{reader.ended_by[0].text}}}}}")
    return nodes


def _fail(problem: str) -> NoReturn:
    raise UsageError(f"--format: {problem}")


class _Reader:
    """Reads pieces one after the other; ``ended_by`` are the words of the ``else`` or ``end`` that ended nodes."""

    def __init__(self, pieces: Iterator[Piece], functions: Collection[str]) -> None:
        self._pieces = pieces
        self._functions = functions
        self._depth = 0
        self._variables = [""]
        self.ended_by: tuple[Word, ...] = ()

    def nodes(self) -> tuple[Node, ...]:
        """Read up to an ``else`` or ``end``, or to the end of all."""
        self.ended_by = ()
        found: list[Node] = []
        for piece in self._pieces:
            if piece.words is None:
                if piece.text:
                    found.append(Text(piece.text))
                continue
            keyword = piece.words[0].text if piece.words else _fail("an action is empty: {{}}")
            if keyword in ("else", "end"):
                self.ended_by = piece.words
                break
            if keyword in _REFUSED:
                _fail(f"{{{{{keyword}}}}} is not supported")
            found.append(self._block(piece.words) if keyword in _BLOCKS else Action(self._pipeline(piece.words)))
        return tuple(found)

    def _block(self, words: tuple[Word, ...]) -> Block:
        keyword, rest = words[0].text, words[1:]
        if not rest:
            _fail(f"{{{{{keyword}}}}} lacks what it is about")
        known = len(self._variables)
        self._go_deeper()
        pipeline = self._pipeline(rest, several=keyword == "range")
        body = self.nodes()
        otherwise = self._otherwise(keyword)
        self._depth -= 1
        del self._variables[known:]
        return Block(keyword, pipeline, body, otherwise)

    def _otherwise(self, keyword: str) -> tuple[Node, ...]:
        """Read what follows an ``else``, and the ``end``; an ``else`` with a condition is a block that has the end."""
        rest = self.ended_by[1:]
        if self._ends_with("else") and rest:
            if rest[0].text != keyword or keyword == "range":
                _fail(f"unexpected {rest[0].text!r} after else")
            return (self._block(rest),)
        nodes = self.nodes() if self._ends_with("else") else ()
        if not self._ends_with("end"):
            _fail(f"{{{{{keyword}}}}} has no {{{{end}}}}")
        self.ended_by = ()
        return nodes

    def _ends_with(self, keyword: str) -> bool:
        return bool(self.ended_by) and self.ended_by[0].text == keyword

    def _go_deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            _fail(f"more than {_DEEPEST} blocks and brackets lie in one another")

    def _pipeline(self, words: tuple[Word, ...], *, several: bool = False) -> Pipeline:
        """Read a pipeline with the variables before it, of which there may be ``several``."""
        signs = [place for place, word in enumerate(words) if word.kind == "sign" and word.text in (":=", "=")]
        if not signs:
            return Pipeline(self._commands(list(words)))
        names, assigns = words[: signs[0]], words[signs[0]].text == "="
        declared = tuple(word.text[1:] for word in names[::2])
        is_list = all(word.text == "," for word in names[1::2]) and all(word.kind == "variable" for word in names[::2])
        if len(names) not in ((1, 3) if several else (1,)) or not is_list:
            _fail(f"unexpected {words[signs[0]].text!r}")
        commands = self._commands(list(words[signs[0] + 1 :]))
        for name in declared:
            if assigns and name not in self._variables:
                _fail(f"there is no variable ${name}")
        self._variables += () if assigns else declared
        return Pipeline(commands, declared, assigns)

    def _commands(self, words: list[Word]) -> tuple[Command, ...]:
        """Read commands with ``|`` between them from all of ``words``."""
        commands = [self._command(words)]
        while words and words[0].text == "|" and words.pop(0):
            commands.append(self._command(words))
        if words:
            _fail(f"unexpected {words[0].text!r}")
        for command in commands[1:]:
            if not isinstance(command.words[0], Function):
                _fail("what follows a | must be a function")
        return tuple(commands)

    def _command(self, words: list[Word]) -> Command:
        operands = []
        while words and (words[0].kind != "sign" or words[0].text == "("):
            operands.append(self._operand(words))
        if not operands:
            _fail("a command is missing")
        if len(operands) > 1 and not isinstance(operands[0], Function):
            _fail("what has arguments must be a function")
        return Command(tuple(operands))

    def _operand(self, words: list[Word]) -> Operand:
        word = words.pop(0)
        match word.kind:
            case "string" | "character" | "number":
                return Literal(_constant(word))
            case "variable" if word.text[1:] not in self._variables:
                _fail(f"there is no variable {word.text}")
            case "variable":
                return Variable(word.text[1:], _members(words))
            case "member":
                return Member(tuple(filter(None, (word.text[1:], *_members(words)))))
            case "name" if word.text in _CONSTANTS:
                return Literal(_CONSTANTS[word.text])
            case "name" if word.text in self._functions:
                return Function(word.text)
            case "name":
                _fail(f"there is no function {word.text!r}; there are {', '.join(sorted(self._functions))}")
            case _:
                return Nested(*self._bracket(words))

    def _bracket(self, words: list[Word]) -> tuple[Pipeline, tuple[str, ...]]:
        """Read a pipeline up to its ``)``, and the members of its value."""
        self._go_deeper()
        depth = 1
        for place, word in enumerate(words):
            depth += {"(": 1, ")": -1}.get(word.text, 0) if word.kind == "sign" else 0
            if depth == 0:
                inner = words[:place]
                del words[: place + 1]
                pipeline = Pipeline(self._commands(inner))
                self._depth -= 1
                return pipeline, _members(words)
        _fail("a ) is missing")


def _members(words: list[Word]) -> tuple[str, ...]:
    """Take the members off that follow an operand without a space."""
    names = []
    while words and words[0].kind == "member" and words[0].joined and len(words[0].text) > 1:
        names.append(words.pop(0).text[1:])
    return tuple(names)


def _constant(word: Word) -> str | float:
    if word.text.startswith("`"):
        return word.text[1:-1]
    try:
        value = ast.literal_eval(word.text)
    except (SyntaxError, ValueError):
        _fail(f"{word.text} is no {word.kind}")
    return ord(value) if word.kind == "character" and len(value) == 1 else value
