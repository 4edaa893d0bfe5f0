"""``ocibuild login`` and ``logout``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ocibuild.cli.common import session
from ocibuild.errors import UsageError

if TYPE_CHECKING:
    from ocibuild.api import Session

_PASSWORD_LIMIT = 64 << 10  # characters


@click.command()
@click.argument("host", required=False, default="docker.io")
@click.option("-u", "--username", metavar="USER", help="The user name.")
@click.option("-p", "--password", metavar="PASSWORD", allow_from_autoenv=False, help="The password; others can see it.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_context
def login(
    ctx: click.Context,
    host: str,
    username: str | None,
    password: str | None,
    password_stdin: bool,  # noqa: FBT001
) -> None:
    """Check a password at the registry HOST (docker.io where none is given), and keep it.

    It is kept in docker's config.json, or by the credential helper that this file names.
    """
    if password is not None and password_stdin:
        raise click.UsageError("--password and --password-stdin are mutually exclusive")
    if password_stdin and not username:
        raise click.UsageError("--password-stdin needs --username")
    if password is not None:
        click.echo("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", err=True)
    server = parse_host(host)
    with session(ctx) as current:
        asked = username is not None or password is not None
        if not asked and current.is_logged_in(server):
            click.echo("Authenticating with existing credentials...", err=True)
        else:
            _login(current, server, username, _piped() if password_stdin else password)
    click.echo("Login Succeeded")


def _login(current: Session, host: str, user: str | None, password: str | None) -> None:
    if (user is None or password is None) and not sys.stdin.isatty():
        raise UsageError("nobody to ask for the password: standard input is no terminal", remedy="use --password-stdin")
    user = user or click.prompt("Username", err=True)
    if password is None:
        password = click.prompt("Password", hide_input=True, err=True)
    if not user or not password:
        raise UsageError("the user name and the password may not be empty")
    kept = current.login(host, user, password)
    if not kept.helper:
        click.echo(
            f"WARNING! The password is kept unencrypted in {kept.path}; a credential helper keeps it safe.", err=True
        )


def _piped() -> str:
    """Return the password on standard input, without the end of its line."""
    text = sys.stdin.read(_PASSWORD_LIMIT + 1)
    if len(text) > _PASSWORD_LIMIT:
        raise UsageError(f"the password on standard input has more than {_PASSWORD_LIMIT} characters")
    return text.rstrip("\r\n")


@click.command()
@click.argument("host", required=False, default="docker.io")
@click.pass_context
def logout(ctx: click.Context, host: str) -> None:
    """Forget the password of the registry HOST (docker.io where none is given)."""
    from ocibuild.registry import server_key

    server = parse_host(host)
    with session(ctx) as current:
        found = current.logout(server)
    click.echo(f"Removing login credentials for {server_key(server)}" if found else f"Not logged in to {server}")


def parse_host(text: str) -> str:
    """Return the registry that a user means, ``HOST[:PORT]``; scheme and path are left out, as docker does.

    Raises UsageError for what is no host.
    """
    from urllib.parse import urlsplit

    from ocibuild.registry import domain_of

    host = text.rpartition("://")[2].partition("/")[0].lower()
    try:
        parts = urlsplit(f"//{host}")
        is_host = bool(parts.hostname) and "@" not in host and parts.port != 0
    except ValueError:
        is_host = False
    if not is_host or not host.isprintable() or set(host) & set(' ?#\\"'):
        shown = "HOST" if "@" in text else repr(text)  # there may be a password before the @
        raise UsageError(f"{shown} is not the name of a registry", remedy="give HOST[:PORT]")
    return domain_of(host)
