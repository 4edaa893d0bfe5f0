"""Rules about the instructions of a stage, each looked at with what holds where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.goformat import quote
from ocibuild.dockerfile.lint import rules
from ocibuild.dockerfile.lint.variables import argument_findings, secret_names, undefined_variables
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.dockerfile.shell.words import expand_words
from ocibuild.errors import DockerfileError
from ocibuild.graph import GitReference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.dockerfile.conversion.options import Seen
    from ocibuild.dockerfile.lint.rules import Finding
    from ocibuild.dockerfile.lint.surroundings import StageNotes, Surroundings

_PROTOCOLS = frozenset({"", "tcp", "udp", "sctp"})


def step_findings(
    instruction: ins.StageInstruction, seen: Seen, notes: StageNotes, around: Surroundings
) -> Iterator[Finding]:
    """Yield what is found in one instruction, and keep in ``notes`` what matters for those after it."""
    yield from undefined_variables(instruction, seen, around)
    match instruction:
        case ins.Env():
            yield from legacy_format(instruction)
            names = [around.expanded(name, seen) for name, _ in instruction.pairs]
            yield from secret_names(instruction, "ENV", names)
        case ins.Label():
            yield from legacy_format(instruction)
        case ins.Arg():
            yield from argument_findings(instruction, seen, around)
        case ins.Cmd() | ins.Entrypoint():
            yield from used_once(instruction, notes)
            yield from json_arguments(instruction, has_shell=seen.has_shell)
        case ins.HealthCheck():
            yield from used_once(instruction, notes)
        case ins.Workdir():
            yield from relative_workdir(instruction, around.expanded(instruction.path, seen), notes)
        case ins.Expose():
            yield from exposed_ports(instruction, seen, around)
        case ins.Copy(from_="") | ins.Add():
            yield from ignored_sources(instruction, seen, around)


def legacy_format(instruction: ins.Env | ins.Label) -> Iterator[Finding]:
    """LegacyKeyValueFormat: there is an equals sign between a name and its value."""
    if instruction.legacy:
        name = instruction.keyword
        message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
        yield rules.LEGACY_KEY_VALUE_FORMAT.at(instruction.location, message)


def used_once(instruction: ins.Cmd | ins.Entrypoint | ins.HealthCheck, notes: StageNotes) -> Iterator[Finding]:
    """MultipleInstructionsDisallowed: where only the last of a kind counts, there is one; the others are shown."""
    earlier = notes.used.get(type(instruction))
    if earlier is not None:
        message = (
            f"Multiple {instruction.keyword} instructions should not be used in the same stage because only the last "
            "one will be used"
        )
        yield rules.MULTIPLE_INSTRUCTIONS_DISALLOWED.at(earlier.location, message)
    notes.used[type(instruction)] = instruction


def json_arguments(instruction: ins.Cmd | ins.Entrypoint, *, has_shell: bool) -> Iterator[Finding]:
    """JSONArgsRecommended: CMD and ENTRYPOINT are in exec form, unless a SHELL was chosen for them."""
    if instruction.command.shell_form and not has_shell:
        message = (
            f"JSON arguments recommended for {instruction.keyword} to prevent unintended behavior related to OS signals"
        )
        yield rules.JSON_ARGS_RECOMMENDED.at(instruction.location, message)


def relative_workdir(instruction: ins.Workdir, path: str, notes: StageNotes) -> Iterator[Finding]:
    """WorkdirRelativePath: the first WORKDIR of a stage, and of those it stands on, is an absolute path."""
    if not notes.workdir_set and not path.startswith("/"):
        message = f"Relative workdir {quote(path)} can have unexpected results if the base image changes"
        yield rules.WORKDIR_RELATIVE_PATH.at(instruction.location, message)
    notes.workdir_set = True


def exposed_ports(instruction: ins.Expose, seen: Seen, around: Surroundings) -> Iterator[Finding]:
    """ExposeProtoCasing and ExposeInvalidFormat: a port has its protocol in lower case, and no host's address."""
    for written in instruction.ports:
        try:
            ports = expand_words(written, seen.variables, escape=around.escape)
        except DockerfileError:
            return
        for port in ports:
            host, _, container = port.rpartition(":")
            protocol = container.partition("/")[2]
            if protocol.lower() not in _PROTOCOLS:
                return
            if protocol != protocol.lower():
                message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
                yield rules.EXPOSE_PROTO_CASING.at(instruction.location, message)
            if host.strip(":"):
                message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                yield rules.EXPOSE_INVALID_FORMAT.at(instruction.location, message)


def ignored_sources(instruction: ins.Copy | ins.Add, seen: Seen, around: Surroundings) -> Iterator[Finding]:
    """CopyIgnoredFile: what COPY and ADD take from the context is not left out of it by .dockerignore."""
    verb = "Add" if isinstance(instruction, ins.Add) else "Copy"
    for source in (around.expanded(source, seen) for source in instruction.sources):
        if not _is_remote(source) and around.ignored(source):
            message = f"Attempting to {verb} file {quote(source)} that is excluded by .dockerignore"
            yield rules.COPY_IGNORED_FILE.at(instruction.location, message)


def _is_remote(source: str) -> bool:
    if source.startswith(("http://", "https://")):
        return True
    try:
        return GitReference.parse(source) is not None
    except DockerfileError:
        return True
