"""``ocibuild build --check`` and ``--call``: requests about a Dockerfile that build nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from ocibuild.api import Session
    from ocibuild.build import BuildRequest, CheckReport

_METHODS = ("build", "check", "outline", "targets")
_ALIASES = {"": "build", "lint": "check"}
_FORMATS = ("text", "json")
_BOOLEANS = {"1": True, "true": True, "": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Call:
    """What ``--call`` asks for; with ``ignore_status``, what is found makes no difference to the exit status."""

    method: str = "build"
    form: str = "text"
    ignore_status: bool = False


def parse_call(text: str, *, check: bool, form: str | None) -> Call:
    """Return what ``--call=METHOD[,format=text|json][,ignorestatus]``, ``--check`` and ``--format`` say together.

    Raises click.UsageError.
    """
    method, *fields = text.split(",")
    call = Call(_ALIASES.get(method, method))
    if call.method not in _METHODS:
        raise click.UsageError(f"--call {method}: no such method (use {', '.join(_METHODS)})")
    if check:
        if call.method not in {"build", "check"}:
            raise click.UsageError(f"--check and --call {method} are two methods")
        call = replace(call, method="check")
    for field in fields:
        call = _with_field(call, field)
    call = replace(call, form=form or call.form)
    if call.method == "build" and call != Call():
        raise click.UsageError("--format is for --check, --call and --dry-run")
    return call


def _with_field(call: Call, field: str) -> Call:
    name, _, value = field.partition("=")
    if name == "format" and value in _FORMATS:
        return replace(call, form=value)
    if name == "ignorestatus" and value.lower() in _BOOLEANS:
        return replace(call, ignore_status=_BOOLEANS[value.lower()])
    raise click.UsageError(f"--call {field}: use format=text, format=json or ignorestatus=true")


def answer(call: Call, request: BuildRequest, session: Session) -> int:
    """Print what ``call`` asks for on standard output and return the exit status."""
    from ocibuild.cli import answers

    as_json = call.form == "json"
    if call.method == "check":
        return _answer_check(call, session.check(request))
    if call.method == "outline":
        outline = session.outline(request)
        click.echo(answers.outline_json(outline) if as_json else answers.outline_text(outline), nl=False)
    else:
        targets = session.targets(request)
        click.echo(answers.targets_json(targets) if as_json else answers.targets_text(targets), nl=False)
    return 0


def _answer_check(call: Call, report: CheckReport) -> int:
    from ocibuild.cli.answers import check_json, check_text
    from ocibuild.cli.failures import report as report_error

    click.echo(check_json(report) if call.form == "json" else check_text(report), nl=False)
    if report.error is not None:
        return report_error(report.error, 1)
    return 0 if report.clean or call.ignore_status else 1
