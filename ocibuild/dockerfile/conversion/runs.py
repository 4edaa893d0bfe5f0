"""RUN: the process that it means, and what it is allowed to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild import graph
from ocibuild.dockerfile.conversion.copies import inline_file, inline_tree
from ocibuild.dockerfile.conversion.settings import command_line
from ocibuild.dockerfile.parser.heredocs import parse_opener
from ocibuild.dockerfile.shell.words import expand_known
from ocibuild.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocibuild.dockerfile.conversion.options import Options
    from ocibuild.dockerfile.parser import instructions as ins
    from ocibuild.oci import RunConfig

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
_SCRIPTS = "/dev/pipes"


def run_command(instruction: ins.Run, config: RunConfig) -> tuple[tuple[str, ...], graph.BindMount | None]:
    """Return the arguments of the process, and the mount of the script that it runs, where it is one.

    A command that is a document alone is what the shell gets, or where it begins with ``#!`` a file that is run. The
    shell reads any other document itself.
    """
    command, documents = instruction.command, instruction.heredocs
    if not documents:
        return command_line(command, config), None
    text, mount = command.args[0], None
    if not parse_opener(text):
        text += "".join(f"\n{document.raw}{document.name}" for document in documents)
    elif documents[0].raw.startswith("#!"):
        script = inline_file(documents[0], documents[0].content, 0o755)
        mount = graph.BindMount(_SCRIPTS, inline_tree(script, instruction.location))
        text = f"{_SCRIPTS}/{documents[0].name}"
    else:
        text = documents[0].content
    return command_line(type(command)((text,), shell_form=True), config), mount


def run_label(instruction: ins.Run, variables: Mapping[str, str], mounts: Sequence[graph.Mount], *, escape: str) -> str:
    """Return the instruction as progress shows it, as written where a variable in it cannot be expanded."""
    text, documents = instruction.text, instruction.heredocs
    if documents and parse_opener(instruction.command.args[0]):
        text = f"{text} ({_summary(documents[0].raw)})"
    secrets = {mount.env: "****" for mount in mounts if isinstance(mount, graph.SecretMount) and mount.env}
    try:
        return expand_known(text, {**variables, **secrets} if secrets else variables, escape=escape)
    except DockerfileError:
        return text


def _summary(document: str) -> str:
    first, *others = document.strip().replace("\r\n", "\n").split("\n")
    return f"{first}..." if others else first


def run_network(instruction: ins.Run, options: Options) -> graph.Network:
    """Return the network of the step; raises DockerfileError for one that it is not allowed."""
    if instruction.network is graph.Network.DEFAULT:
        return options.network
    is_host = instruction.network is graph.Network.HOST
    if is_host and options.network is not graph.Network.HOST and NETWORK_HOST not in options.allowed:
        raise DockerfileError("RUN --network=host is not allowed", remedy=f"allow it with --allow {NETWORK_HOST}")
    return instruction.network


def run_security(instruction: ins.Run, options: Options) -> graph.Security:
    """Return how the step is confined; raises DockerfileError where it is not allowed to be less so."""
    insecure = instruction.security is graph.Security.INSECURE
    if insecure and SECURITY_INSECURE not in options.allowed:
        raise DockerfileError(
            "RUN --security=insecure is not allowed", remedy=f"allow it with --allow {SECURITY_INSECURE}"
        )
    return instruction.security
