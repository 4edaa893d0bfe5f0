"""``ocibuild ps``, ``rm``, ``logs``, ``stop``, ``kill``, ``wait``, ``commit``, ``cp``, ``diff`` and ``export``."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ocibuild.cli.common import each, filter_option, format_option, refused_options, session
from ocibuild.cli.listing import Columns, listed
from ocibuild.cli.text import age, size, span, utc
from ocibuild.errors import StoreError, UsageError
from ocibuild.graph import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.api import Session
    from ocibuild.store import Container

_COLUMNS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
}
_SHOWN = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]
_LONGEST_COMMAND = 20
_STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
"""Those that docker knows."""
_SECOND = 10**9
_PAUSE = 0.1
_CONTAINERS = click.argument("names", metavar="CONTAINER...", nargs=-1, required=True)


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that have ended.")
@click.option("-q", "--quiet", is_flag=True, help="Print IDs alone.")
@click.option("-n", "--last", type=int, metavar="N", help="The N newest, ended or not.")
@click.option("-l", "--latest", is_flag=True, help="The newest, ended or not.")
@click.option("-s", "--size", "sizes", is_flag=True, help="Show how much each has changed.")
@click.option("--no-trunc", is_flag=True, help="Show whole IDs and commands.")
@filter_option
@format_option
@click.pass_context
def ps(
    ctx: click.Context,
    everything: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    last: int | None,
    latest: bool,  # noqa: FBT001
    sizes: bool,  # noqa: FBT001
    no_trunc: bool,  # noqa: FBT001
    filters: tuple[str, ...],
    form: str,
) -> None:
    """List the containers that run, the newest first."""
    chosen = _filters(filters)
    count = 1 if latest else last if last and last > 0 else None
    with session(ctx) as current:
        found = [one for one in current.containers() if _is_chosen(current, one, chosen)]
        if not (everything or count or "status" in chosen or "exited" in chosen):
            found = [one for one in found if one.is_running]
        rows = [_row(current, one, whole=no_trunc, sized=sizes) for one in found[:count]]
    if quiet:
        click.echo("".join(f"{row['ID']}\n" for row in rows), nl=False)
        return
    shown = [*_SHOWN, "Size"] if sizes else _SHOWN
    click.echo(listed(rows, form, Columns(shown, _COLUMNS)), nl=False)


def _filters(texts: tuple[str, ...]) -> dict[str, set[str]]:
    known = ("id", "name", "status", "exited", "ancestor")
    found: dict[str, set[str]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if key not in known or not value:
            raise UsageError(
                f"--filter {text}: not supported", remedy=f"there are {', '.join(f'{one}=' for one in known)}"
            )
        if key == "status" and value not in _STATES:
            raise UsageError(f"--filter {text}: there is no such status", remedy=f"there are {', '.join(_STATES)}")
        if key == "exited" and not re.fullmatch("[0-9]+", value):
            raise UsageError(f"--filter {text}: not an exit status")
        found.setdefault(key, set()).add(value)
    try:
        for value in found.get("name", ()):
            re.compile(value)
    except re.error as error:
        raise UsageError(f"--filter name={value}: not a regular expression: {error}") from error
    return found


def _is_chosen(current: Session, one: Container, chosen: dict[str, set[str]]) -> bool:
    """Tell whether a container is what one value of each filter says."""
    says: dict[str, Callable[[str], bool]] = {
        "id": one.id.startswith,
        "name": lambda value: bool(re.search(value, one.name)),
        "status": lambda value: value == _state(one),
        "exited": lambda value: not one.is_running and int(value) == one.exit_status,
        "ancestor": lambda value: current.descends_from(one, value),
    }
    return all(any(map(says[key], values)) for key, values in chosen.items())


def _state(one: Container) -> str:
    return "running" if one.is_running else "exited"


def _row(current: Session, one: Container, *, whole: bool, sized: bool) -> dict[str, Any]:
    command = shlex.join([*one.config["config"].get("Entrypoint", ()), *one.config["config"].get("Cmd", ())])
    cut = not whole and len(command) > _LONGEST_COMMAND
    return {
        "Command": f'"{command[: _LONGEST_COMMAND - 1]}…"' if cut else f'"{command}"',
        "CreatedAt": utc(format_time(one.created)),
        "ID": one.id if whole else one.id[:12],
        "Image": one.image_name,
        "Names": one.name,
        "Ports": "",
        "RunningFor": age(format_time(one.created), time.time()),
        "Size": size(current.size_of_container(one)) if sized else "0B",
        "State": _state(one),
        "Status": _status(one),
    }


def _status(one: Container) -> str:
    if one.finished is None:
        return f"Up {span((time.time_ns() - one.created) // _SECOND)}"
    return f"Exited ({one.exit_status}) {age(format_time(one.finished), time.time())}"


@click.command()
@_CONTAINERS
@click.option("-f", "--force", is_flag=True, help="End it first where it runs.")
@click.option("-v", "--volumes", is_flag=True, expose_value=False, help="Accepted: there are no anonymous volumes.")
@refused_options("--link")
@click.pass_context
def rm(ctx: click.Context, names: tuple[str, ...], force: bool) -> None:  # noqa: FBT001
    """Remove containers with their files."""
    with session(ctx) as current, current.removing_containers(force=force) as remove:

        def remove_one(name: str) -> None:
            remove(name)
            click.echo(name)

        each(remove_one, names, missing_is_fine=force)


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option("-n", "--tail", default="all", metavar="N", help="The last N lines alone.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@refused_options("--since", "--until", "--details")
@click.pass_context
def logs(ctx: click.Context, name: str, follow: bool, tail: str, timestamps: bool) -> None:  # noqa: FBT001
    """Show what a container wrote, on the streams that it wrote to."""
    if tail != "all" and not (tail.isascii() and tail.isdigit()):
        raise UsageError(f"--tail {tail}: neither a number nor all")
    with session(ctx) as current:
        container = current.find_container(name)
        with suppress(FileNotFoundError), open(current.log_of(container), encoding="ascii") as file:
            lines = file.readlines()
            for line in lines if tail == "all" else lines[len(lines) - int(tail) :]:
                _show(line, timestamps=timestamps)
            for line in _following(current, container, file) if follow else ():
                _show(line, timestamps=timestamps)


def _following(current: Session, container: Container, file: Any) -> Iterator[str]:
    """Yield the lines that come, until the container has ended."""
    runs, held = container.is_running, ""
    while True:
        held += file.readline()
        if held.endswith("\n"):
            yield held
            held = ""
        elif runs:
            time.sleep(_PAUSE)
            runs = current.find_container(container.id).is_running
        else:
            return


def _show(line: str, *, timestamps: bool) -> None:
    entry = json.loads(line)
    stream = sys.stderr if entry["stream"] == "stderr" else sys.stdout
    text = f"{entry['time']} {entry['log']}" if timestamps else entry["log"]
    stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    stream.buffer.flush()


@click.command()
@_CONTAINERS
@click.option(
    "-t",
    "--time",
    "--timeout",
    "seconds",
    type=int,
    default=10,
    show_default=True,
    help="Kill it after so long; -1: never.",
)
@click.option("-s", "--signal", "asks", metavar="SIGNAL", help="Instead of the image's STOPSIGNAL.  [default: TERM]")
@click.pass_context
def stop(ctx: click.Context, names: tuple[str, ...], seconds: int, asks: str | None) -> None:
    """Ask containers to end, and kill those that do not."""
    from ocibuild.executor.signals import parse_signal

    chosen = parse_signal(asks) if asks else None
    with session(ctx) as current:

        def end(name: str) -> None:
            container = current.find_container(name)
            wanted = container.config["config"].get("StopSignal") or "TERM"
            current.signal_container(container, chosen or parse_signal(wanted))
            until = time.monotonic() + seconds
            while container.is_running and (seconds < 0 or time.monotonic() < until):
                time.sleep(_PAUSE / 2)
                container = current.find_container(container.id)
            current.signal_container(container, signal.SIGKILL)
            click.echo(name)

        each(end, names)


@click.command()
@_CONTAINERS
@click.option("-s", "--signal", "name", default="KILL", show_default=True, help="A name or a number.")
@click.pass_context
def kill(ctx: click.Context, names: tuple[str, ...], name: str) -> None:
    """Send a signal to containers that run."""
    from ocibuild.executor.signals import parse_signal

    chosen = parse_signal(name)
    with session(ctx) as current:

        def send(name: str) -> None:
            container = current.find_container(name)
            if not container.is_running:
                raise StoreError(f"{name}: the container does not run")
            current.signal_container(container, chosen)
            click.echo(name)

        each(send, names)


@click.command()
@_CONTAINERS
@click.pass_context
def wait(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Wait for the end of containers, and print their exit statuses."""
    with session(ctx) as current:
        each(lambda name: click.echo(current.wait_for(current.find_container(name)).exit_status), names)


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.argument("reference", required=False)
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Change the config, as CMD, ENV.")
@click.option("-m", "--message", default="", help="The comment in the history.")
@click.option("-a", "--author", default="", help="Who made it.")
@click.option("-p", "--pause/--no-pause", default=True, expose_value=False, help="Accepted: what runs goes on.")
@click.pass_context
def commit(
    ctx: click.Context, name: str, reference: str | None, changes: tuple[str, ...], message: str, author: str
) -> None:
    """Make an image of what a container has changed, under the name REFERENCE or none; print its ID.

    Its settings are those that the container was run with, as --change changes them.
    """
    from ocibuild.containers.commit import CommitRequest
    from ocibuild.oci import Reference

    wanted = Reference.parse(reference) if reference else None
    if wanted is not None and wanted.tag is None:
        raise UsageError(f"{reference}: a tag cannot be a digest", remedy="give NAME:TAG")
    with session(ctx) as current:
        click.echo(current.commit(name, CommitRequest(changes, message, author), wanted))


@click.command()
@click.argument("source")
@click.argument("destination")
@click.option("-q", "--quiet", is_flag=True, expose_value=False, help="Accepted: nothing is shown anyway.")
@refused_options("-a", "--archive", "-L", "--follow-link")
@click.pass_context
def cp(ctx: click.Context, source: str, destination: str) -> None:
    """Copy SOURCE to DESTINATION, one of which is CONTAINER:PATH.

    A path that has a colon itself must begin with / or a dot. A folder goes with all that it holds; with /. at its end,
    only that goes.
    """
    (name, path), (to_name, to_path) = _of_container(source), _of_container(destination)
    if (name is None) == (to_name is None):
        raise UsageError("one of the two must be CONTAINER:PATH", remedy="as in `ocibuild cp NAME:/etc/hosts .`")
    if "-" in (source, destination):
        raise UsageError("a tar on a standard stream is not supported", remedy="use `ocibuild export`, or a folder")
    with session(ctx) as current:
        if name is not None:
            current.copy_out(name, path, destination)
        elif to_name is not None:
            current.copy_in(source, to_name, to_path)


def _of_container(text: str) -> tuple[str | None, str]:
    name, colon, path = text.partition(":")
    return (name, path) if colon and not text.startswith(("/", ".")) else (None, text)


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.pass_context
def diff(ctx: click.Context, name: str) -> None:
    """Show what a container has added (A), changed (C) and deleted (D)."""
    with session(ctx) as current:
        for kind, path in current.differences(name):
            click.echo(f"{kind} {path}")


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.option("-o", "--output", default="-", metavar="FILE", help="The tar.  [default: stdout]")
@click.pass_context
def export(ctx: click.Context, name: str, output: str) -> None:
    """Write all files of a container as a tar."""
    with session(ctx) as current:
        current.export(name, output)
