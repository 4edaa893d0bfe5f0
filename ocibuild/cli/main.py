"""The program: global flags, commands loaded when they are called, and what becomes of errors."""

from __future__ import annotations

import importlib
import os
import pwd
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ocibuild.cli.failures import report, report_usage
from ocibuild.cli.stopping import Terminated, raise_when_stopped
from ocibuild.errors import ConfigError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTERRUPTED = 130
_TERMINATED = 143

# command: the module that has it, the name there, and its line in --help
_COMMANDS = {
    "build": ("build", "build", "Build an image from a Dockerfile."),
    "commit": ("containers", "commit", "Make an image of a container."),
    "completion": ("completion", "completion", "Print what makes a shell complete commands."),
    "copy": ("transfer", "copy", "Copy an image between registries, layouts and archives."),
    "cp": ("containers", "cp", "Copy files from a container, or into one."),
    "diff": ("containers", "diff", "Show what a container has changed."),
    "du": ("usage", "du", "Show what takes room beside the images."),
    "doctor": ("doctor", "doctor", "Show what this machine allows, and what to change."),
    "exec": ("exec", "exec_", "Run a command in a container that runs."),
    "export": ("containers", "export", "Write the files of a container as a tar."),
    "history": ("images", "history", "Show the history of an image."),
    "import": ("archives", "import_", "Make an image of a tar of files."),
    "images": ("images", "images", "List the images of the store."),
    "inspect": ("images", "inspect", "Show all of an image as JSON."),
    "load": ("archives", "load", "Put the images of an archive into the store."),
    "login": ("login", "login", "Keep the password of a registry."),
    "logout": ("login", "logout", "Forget the password of a registry."),
    "logs": ("containers", "logs", "Show what a container wrote."),
    "kill": ("containers", "kill", "End a container at once."),
    "prune": ("usage", "prune", "Remove what takes room beside the images."),
    "ps": ("containers", "ps", "List containers."),
    "pull": ("transfer", "pull", "Pull an image from a registry."),
    "push": ("transfer", "push", "Push an image to a registry."),
    "rm": ("containers", "rm", "Remove containers."),
    "rmi": ("images", "rmi", "Remove images."),
    "run": ("run", "run", "Run a process in an image."),
    "save": ("archives", "save", "Write images into an archive."),
    "stop": ("containers", "stop", "End a container."),
    "tag": ("images", "tag", "Give an image one more name."),
    "validate": ("validate", "validate", "Check an image against its schemas and digests."),
    "wait": ("containers", "wait", "Wait for the end of a container."),
    "version": ("version", "version", "Show the version."),
}
_IMAGE_COMMANDS = {
    "build": "build",
    "history": "history",
    "import": "import",
    "inspect": "inspect",
    "load": "load",
    "ls": "images",
    "pull": "pull",
    "prune": "prune",
    "push": "push",
    "rm": "rmi",
    "save": "save",
    "tag": "tag",
}
# what the command line will have, and has not yet: refused by name
_LATER = frozenset({"start", "restart", "attach", "top", "stats", "rename", "pause"})


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; ``names`` maps each to the one it stands for."""

    def __init__(self, *args: Any, names: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._names = names

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names, sorted."""
        return sorted([*self._names, *self.commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; raise click.UsageError where there is none, unless a shell asks what could follow."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        if cmd_name not in self._names and ctx.resilient_parsing:
            return None
        if cmd_name not in self._names:
            raise click.UsageError(_unknown(cmd_name, self.list_commands(ctx)), ctx)
        module, name, _ = _COMMANDS[self._names[cmd_name]]
        command: click.Command = getattr(importlib.import_module(f"ocibuild.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, and what is left of the arguments, with each flag as click knows it."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and any(word.startswith("-") and "=" in word for word in rest):
            from ocibuild.cli.flags import without_values

            rest = without_values(command, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines, importing none of them."""
        lines = {name: _COMMANDS[target][2] for name, target in self._names.items()}
        lines |= {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, lines[name]) for name in self.list_commands(ctx)])


def _unknown(name: str, known: list[str]) -> str:
    if name in _LATER:
        return f"the command {name!r} is not supported yet"
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"no such command: {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


@click.group(
    cls=LazyGroup,
    names={name: name for name in _COMMANDS},
    context_settings={"auto_envvar_prefix": "OCIBUILD", "help_option_names": ["-h", "--help"]},
)
@click.option("--root", metavar="DIR", envvar="OCIBUILD_ROOT", help="The store.  [default: ~/.local/share/ocibuild]")
@click.option("--config", metavar="FILE", envvar="OCIBUILD_CONFIG", help="The configuration file.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def cli(ctx: click.Context, root: str | None, config: str | None, debug: bool) -> None:  # noqa: FBT001, ARG001
    """Build OCI images from Dockerfiles without a daemon and without root."""
    if config and not os.path.isfile(config):
        raise ConfigError(f"{config}: no such configuration file", remedy="--config names another")
    ctx.obj = {"root": root or _in_home("XDG_DATA_HOME", ".local/share"), "config": config or _usual_config()}


@cli.group(cls=LazyGroup, names=_IMAGE_COMMANDS, name="image")
def image() -> None:
    """The same commands by longer names."""


def _in_home(variable: str, usual: str) -> str | None:
    """Return our folder in the one that ``variable`` names, else in ``usual`` at home; None for a user without one.

    A variable that is empty, or not an absolute path, counts as not set: so the XDG base directory specification.
    """
    bases = os.environ.get(variable, ""), os.path.join(_home(), usual)
    return next((os.path.join(base, "ocibuild") for base in bases if os.path.isabs(base)), None)


def _home() -> str:
    """Return the folder of HOME, else that of the user's entry in passwd(5); empty where there is neither."""
    home = os.environ.get("HOME", "")
    if os.path.isabs(home):
        return home
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _usual_config() -> str | None:
    folder = _in_home("XDG_CONFIG_HOME", ".config")
    path = folder and os.path.join(folder, "config.toml")
    return path if path and os.path.exists(path) else None


def run() -> NoReturn:
    """Run the command line: the one place that prints errors and exits."""
    _be_utf8()
    raise_when_stopped()
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("OCIBUILD_DEBUG"))
    try:
        _have_streams()
        status = cli.main(prog_name="ocibuild", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = error.exit_code
    except click.UsageError as error:
        status = report_usage(error)
    except UsageError as error:
        status = report(error, 2)
    except Terminated:
        status = report(Interrupted("terminated"), _TERMINATED)
    except (KeyboardInterrupt, Interrupted, click.Abort):
        status = report(Interrupted(), _INTERRUPTED)
    except Exception as error:  # the last resort: a user gets one line, whatever happened
        if debug:
            raise
        status = report(error, 1)
    _exit(status or 0)


def _exit(status: int) -> NoReturn:
    """End the process at once: all is written and closed, and taking the interpreter apart would take 30 ms."""
    signal.setitimer(signal.ITIMER_REAL, 0)  # see raise_when_stopped()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads any more
            status = status or 1
    os._exit(status)


def _be_utf8() -> None:
    """Start again in UTF-8 mode where the locale has another encoding: names in an image are UTF-8 everywhere."""
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"
        # as it was started: -m would look for our modules in the current directory first
        os.execv(sys.executable, sys.orig_argv)


def _have_streams() -> None:
    """Open /dev/null for standard streams that are closed, so that nothing else is taken for them."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
