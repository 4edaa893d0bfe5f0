"""Flags with a value, ``--rm=false``, which docker's command line has and click's does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VALUES = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def without_values(command: click.Command, args: Sequence[str]) -> list[str]:
    """Return the arguments of a command with its flags as click knows them: there or not. Raises click.UsageError.

    Nothing is touched after ``--``, nor in what the command passes on to a program.
    """
    return list(_without_values(command, args))


def _without_values(command: click.Command, args: Sequence[str]) -> Iterator[str]:
    known = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    passes_on = not command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    place = 0
    while place < len(args):
        word = args[place]
        place += 1
        if word == "--" or (passes_on and not _is_option(word)):
            yield word
            break
        name, separator, value = word.partition("=")
        option = known.get(name)
        if separator and option is not None and option.is_flag:
            yield from _flag(name, option, value)
            continue
        yield word
        if not separator and _takes_next(word, known) and place < len(args):
            yield args[place]
            place += 1
    yield from args[place:]


def _flag(name: str, option: click.Option, value: str) -> Iterator[str]:
    is_on = _VALUES.get(value)
    if is_on is None:
        raise click.UsageError(f"{name}={value}: neither true nor false")
    if is_on:
        yield name
    else:
        yield from option.secondary_opts[:1]  # that of one which is on unless it is said


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _takes_next(word: str, known: dict[str, click.Option]) -> bool:
    """Tell whether the next word is the value of this one, the last of whose letters may be an option's."""
    if not _is_option(word) or word.startswith("--"):
        option = known.get(word)
        return option is not None and not option.is_flag and not option.count
    for place, letter in enumerate(word[1:], start=1):
        option = known.get(f"-{letter}")
        if option is None:
            return False
        if not option.is_flag and not option.count:
            return place == len(word) - 1
    return False
