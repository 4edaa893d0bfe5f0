"""Instructions that change only the image's config, each giving the new config and what the history says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from ocibuild.dockerfile.conversion.goformat import plain_list, quote_list
from ocibuild.dockerfile.conversion.history import healthcheck_text, pairs_text
from ocibuild.dockerfile.conversion.ports import parse_ports
from ocibuild.dockerfile.conversion.signals import check_signal
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.shell.words import expand_word, expand_words
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocibuild.oci import RunConfig

Setting: TypeAlias = (
    ins.Label
    | ins.Cmd
    | ins.Entrypoint
    | ins.Shell
    | ins.User
    | ins.Expose
    | ins.Volume
    | ins.StopSignal
    | ins.HealthCheck
)

DEFAULT_SHELL = ("/bin/sh", "-c")
_MAX_PORTS = 65_536


def command_line(command: ins.Command, config: RunConfig) -> tuple[str, ...]:
    """Return the whole argument list of ``command``, run by the config's shell in shell form."""
    return (*(config.shell or DEFAULT_SHELL), *command.args) if command.shell_form else command.args


def expand_pairs(pairs: ins.Pairs, variables: Mapping[str, str], *, escape: str) -> ins.Pairs:
    """Return ``pairs`` with the variables in names and values expanded, all as they were before the instruction."""
    return tuple(
        (expand_word(name, variables, escape=escape), expand_word(value, variables, escape=escape))
        for name, value in pairs
    )


def apply_setting(
    setting: Setting, config: RunConfig, variables: Mapping[str, str], *, escape: str, cmd_is_own: bool
) -> tuple[RunConfig, str]:
    """Return ``config`` as ``setting`` changes it, and the history's text.

    ``cmd_is_own`` is whether this stage has a CMD already: an ENTRYPOINT clears one that comes from the base.
    Raises DockerfileError.
    """
    match setting:
        case ins.Label():
            pairs = expand_pairs(setting.pairs, variables, escape=escape)
            return replace(config, labels={**config.labels, **dict(pairs)}), pairs_text("LABEL", pairs)
        case ins.Cmd():
            args = command_line(setting.command, config)
            return replace(config, cmd=args or None, args_escaped=True), f"CMD {quote_list(args)}"
        case ins.Entrypoint():
            args = command_line(setting.command, config)
            cmd = config.cmd if cmd_is_own else None
            return replace(config, entrypoint=args or None, cmd=cmd), f"ENTRYPOINT {quote_list(args)}"
        case ins.Shell():
            return replace(config, shell=setting.args), f"SHELL {plain_list(setting.args)}"
        case ins.User():
            user = expand_word(setting.user, variables, escape=escape)
            return replace(config, user=user), f"USER {user}"
        case ins.Expose():
            return _expose(setting, config, variables, escape)
        case ins.Volume():
            return _volume(setting, config, variables, escape)
        case ins.StopSignal():
            signal = expand_word(setting.signal, variables, escape=escape)
            check_signal(signal)
            return replace(config, stop_signal=signal), f"STOPSIGNAL {signal}"
        case ins.HealthCheck():
            return replace(config, healthcheck=setting.check), healthcheck_text(setting.check)


def _expose(setting: ins.Expose, config: RunConfig, variables: Mapping[str, str], escape: str) -> tuple[RunConfig, str]:
    ports: list[str] = []
    for written in setting.ports:
        for specification in expand_words(written, variables, escape=escape):
            ports.extend(parse_ports(specification))
            if len(ports) > _MAX_PORTS:
                raise DockerfileError(f"one EXPOSE cannot name more than {_MAX_PORTS} ports")
    exposed = {*config.exposed_ports, *ports}
    return replace(config, exposed_ports=tuple(sorted(exposed))), f"EXPOSE {plain_list(ports)}"


def _volume(setting: ins.Volume, config: RunConfig, variables: Mapping[str, str], escape: str) -> tuple[RunConfig, str]:
    paths = [expand_word(path, variables, escape=escape) for path in setting.paths]
    if not all(paths):
        raise DockerfileError("VOLUME cannot be an empty string")
    volumes = {*config.volumes, *paths}
    return replace(config, volumes=tuple(sorted(volumes))), f"VOLUME {plain_list(paths)}"
