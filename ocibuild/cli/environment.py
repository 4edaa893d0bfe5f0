"""``--env`` and ``--env-file``: the environment that a command line gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add both, as ``env`` and ``env_files``."""
    of_file = click.option(
        "--env-file", "env_files", multiple=True, metavar="FILE", help="Set those of a file, one a line."
    )
    return click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set an environment variable.")(
        of_file(command)
    )


def environment(files: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Return ``NAME=value`` for each setting of files and those given beside, which win, being later.

    A name alone takes this process's value, and is left out where it has none.
    """
    settings = [*(setting for path in files for setting in _settings_in(path)), *given]
    return tuple(
        value if "=" in value else f"{value}={os.environ[value]}"
        for value in settings
        if "=" in value or value in os.environ
    )


def _settings_in(path: str) -> list[str]:
    """Return the settings of a file, one a line, but for comments."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n").lstrip() for line in file]
    except OSError as error:
        raise UsageError(f"--env-file {path}: {error.strerror}", remedy="name a file that is there") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--env-file {path}: not UTF-8, at byte {error.start}") from error
    return [line for line in lines if line and not line.startswith("#")]
