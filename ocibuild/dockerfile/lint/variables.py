"""Rules about variables: which words of an instruction hold them, and what is not defined or should be no secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocibuild.dockerfile.conversion.goformat import quote
from ocibuild.dockerfile.lint import rules
from ocibuild.dockerfile.lint.watching import Speller, declarations, expand_watched
from ocibuild.dockerfile.parser import instructions as ins
from ocibuild.errors import DockerfileError
from ocibuild.graph.csvfields import csv_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ocibuild.dockerfile.conversion.options import Seen
    from ocibuild.dockerfile.lint.rules import Finding
    from ocibuild.dockerfile.lint.surroundings import Surroundings

_WORDS = "apikey|auth|credential|credentials|key|password|pword|passwd|secret|token"
_SECRET = re.compile(rf"(?:_|\A)(?:{_WORDS})(?:_|\Z)", re.IGNORECASE)
_PUBLIC = re.compile(r"(?:_|\A)public(?:_|\Z)", re.IGNORECASE)
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def undefined_variables(instruction: ins.StageInstruction, seen: Seen, around: Surroundings) -> Iterator[Finding]:
    """UndefinedVar: an ENV or an ARG, in the stage or in its base, has defined what an instruction uses."""
    for word in filter(_has_variable, _words(instruction)):
        _, watched = expand_watched(word, seen.variables, escape=around.escape)
        yield from _undefined(instruction, watched.missed, seen.variables, seen.arguments, around.speller)
    for document in filter(_has_variable, _documents(instruction)):
        missed = _missed_in_document(document, seen.variables)
        yield from _undefined(instruction, missed, seen.variables, seen.arguments, around.speller)


def _has_variable(text: str) -> bool:
    return "$" in text


def _words(instruction: ins.StageInstruction) -> Iterable[str]:
    """Return the words of ``instruction`` that are expanded; those of ARG and EXPOSE are a matter of their own."""
    match instruction:
        case ins.Env() | ins.Label():
            return [word for pair in instruction.pairs for word in pair]
        case ins.Copy():
            return (instruction.owner, instruction.mode, *instruction.sources, instruction.destination)
        case ins.Add():
            flags = (instruction.owner, instruction.mode, instruction.checksum)
            return (*flags, *instruction.sources, instruction.destination)
        case ins.Run():
            return [value for mount in instruction.mounts for value in _mount_values(mount)]
        case ins.User():
            return (instruction.user,)
        case ins.Workdir():
            return (instruction.path,)
        case ins.Volume():
            return instruction.paths
        case ins.StopSignal():
            return (instruction.signal,)
        case _:
            return ()


def _documents(instruction: ins.StageInstruction) -> Iterable[str]:
    if not isinstance(instruction, (ins.Copy, ins.Add)):
        return ()
    return [heredoc.content for heredoc in instruction.heredocs if heredoc.expand]


def _mount_values(mount: str) -> list[str]:
    try:
        return [field.partition("=")[2] for field in csv_fields(mount)]
    except DockerfileError:
        return []


def _missed_in_document(document: str, variables: Mapping[str, str]) -> Mapping[str, None]:
    """Return what is not defined in a document, in which quotes mean nothing."""
    return expand_watched(re.sub("['\"]", " ", document), variables, escape="\\")[1].missed


def _undefined(
    instruction: ins.Instruction,
    missed: Iterable[str],
    variables: Mapping[str, str],
    arguments: Collection[str],
    speller: Speller,
) -> Iterator[Finding]:
    for name in missed:
        if name not in arguments and name not in _NO_VARIABLES:
            near = speller.similar(name, variables)
            suggestion = f" (did you mean ${near}?)" if near else ""
            yield rules.UNDEFINED_VAR.at(instruction.location, f"Usage of undefined variable '${name}'{suggestion}")


def argument_findings(instruction: ins.Arg, seen: Seen, around: Surroundings) -> Iterator[Finding]:
    """SecretsUsedInArgOrEnv and UndefinedVar for ARG, whose defaults see the arguments before them."""
    known = dict.fromkeys(seen.arguments)
    for declared in declarations(instruction, seen.variables, around.build_args, escape=around.escape):
        yield from secret_names(instruction, "ARG", [declared.name])
        yield from _undefined(instruction, declared.missed, declared.variables, known, around.speller)
        known[declared.name] = None


def secret_names(instruction: ins.Instruction, kind: str, names: Iterable[str]) -> Iterator[Finding]:
    """SecretsUsedInArgOrEnv: nothing that is named like a secret is kept in a variable, and so in the image."""
    for name in names:
        if _SECRET.search(name) and not _PUBLIC.search(name):
            message = f"Do not use ARG or ENV instructions for sensitive data ({kind} {quote(name)})"
            yield rules.SECRETS_USED_IN_ARG_OR_ENV.at(instruction.location, message)
