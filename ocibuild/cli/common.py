"""What several commands share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ocibuild.api import Session, Settings
from ocibuild.errors import NotInStore, OcibuildError, UsageError
from ocibuild.progress import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def session(ctx: click.Context, *, progress: str = "auto") -> Session:
    """Return a session with the global flags; raise UsageError where nothing says which store."""
    options: dict[str, Any] = ctx.find_root().obj
    if options["root"] is None:
        raise UsageError("no store: HOME is not set and the user has no home", remedy="choose a store with --root")
    return Session(Settings(root=options["root"], config=options["config"], progress=Mode(progress)))


def progress_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--progress``."""
    modes = click.Choice([mode.value for mode in Mode])
    return click.option("--progress", type=modes, default="auto", show_default=True, help="How progress is shown.")(
        command
    )


def forced_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--executor`` and ``--snapshotter``, which insist on what else the machine decides."""
    for name, values in (("--snapshotter", ("overlay", "copy")), ("--executor", ("chroot", "proot"))):
        command = click.option(name, type=click.Choice(["auto", *values]), default="auto", show_default=True)(command)
    return command


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--format`` for what is listed."""
    return click.option(
        "--format", "form", metavar="FORMAT", default="table", help="table, json, a Go template, or table and one."
    )(command)


def filter_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add docker's ``--filter``."""
    return click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only such.")(
        command
    )


def resource_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--add-host``, ``--shm-size`` and ``--ulimit``; see ``resources()``."""
    for option in (
        click.option("--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A limit of a process."),
        click.option("--shm-size", metavar="SIZE", help="The size of /dev/shm.  [default: 64m]"),
        click.option("--add-host", "extra_hosts", multiple=True, metavar="HOST:IP", help="A name for /etc/hosts."),
    ):
        command = option(command)
    return command


def resources(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of ``resource_options``, as the requests have them; raise UsageError."""
    from ocibuild.graph import parse_extra_hosts, parse_shm_size, parse_ulimits

    return {
        "extra_hosts": parse_extra_hosts(options["extra_hosts"]),
        "shm_size": parse_shm_size(options["shm_size"]),
        "ulimits": parse_ulimits(options["ulimits"]),
    }


def refused_options(*names: str, remedy: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options that docker has and this command does not have yet: each is refused by name."""

    def refuse(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
        if value:
            what = f"{parameter.opts[0]} is not supported"
            raise click.UsageError(f"{what} ({remedy})" if remedy else f"{what} yet", ctx)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            command = click.option(
                name, hidden=True, expose_value=False, multiple=True, is_eager=True, callback=refuse
            )(command)
        return command

    return add


def check_streams(options: Mapping[str, Any]) -> None:
    """Raise UsageError where ``-i`` and ``-t`` do not go with the terminal that there is."""
    if options["detach"]:
        return
    if options["terminal"] and options["interactive"] and not os.isatty(0):
        raise UsageError("the input device is not a TTY", remedy="leave out -t where standard input is no terminal")


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """Return ``KEY=VALUE`` options as a mapping; raise click.UsageError where there is no ``=``."""
    found = {}
    for value in values:
        key, separator, text = value.partition("=")
        if not separator or not key:
            raise click.UsageError(f"{option} {value}: not KEY=VALUE")
        found[key] = text
    return found


def each(work: Callable[[str], object], names: Iterable[str], *, missing_is_fine: bool = False) -> None:
    """Do something for each name, whatever becomes of the others; raise the last error in the end."""
    from ocibuild.cli.failures import report

    failures: list[OcibuildError] = []
    for name in names:
        try:
            work(name)
        except OcibuildError as error:
            if missing_is_fine and isinstance(error, NotInStore):
                report(error, 0)
            else:
                failures.append(error)
    for failure in failures[:-1]:
        report(failure, 1)
    if failures:
        raise failures[-1]
