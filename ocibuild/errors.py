"""The one tree of exceptions.

::

    OcibuildError                what went wrong, where, and what to do
    ├── UsageError               the request itself makes no sense (exit status 2)
    ├── InvalidReference         not an image reference
    ├── InvalidDigest            not a digest, or of an unknown algorithm
    ├── InvalidPlatform          not a platform
    ├── InvalidDocument          JSON that is not what its media type promises
    ├── UnsupportedMediaType     a media type that is refused by name
    ├── DigestMismatch           bytes that are not what their descriptor promises
    │   └── IncompleteBlob       there are no more, because who wrote them has failed
    ├── InvalidLayer             a changeset that cannot be applied
    ├── UnsafePath               a path that leaves its root
    ├── DockerfileError          a Dockerfile that cannot be understood
    │   ├── DockerfileErrors     several faults of one Dockerfile, each with its place
    │   └── LintFailed           a rule of the linter is not kept, in a Dockerfile that makes that an error
    ├── SourceError              a context or a file in it that cannot be used
    ├── ConfigError              a configuration file that cannot be used
    ├── StoreError               the store cannot be used
    │   ├── StoreTooNew          made by a newer version
    │   ├── NoSpace              no space left on the device
    │   └── NotInStore           no such image, tag or blob
    ├── RegistryError            a registry said no
    │   ├── NotFound             no such repository, tag or blob
    │   ├── Unauthorized         no credentials, wrong ones, or not enough
    │   └── NoMatchingPlatform   the image has no manifest for the platform
    ├── SandboxError             this machine refuses what a sandbox needs
    │   └── CannotStart          a process cannot be started in its root file system
    ├── StepFailed               a step's process ended with a status other than 0
    └── Interrupted              the user asked to stop (exit status 130)

The library raises; only ``cli`` prints and exits.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER_INFO = r"(?i)\b(https?://)[^/\s?#]*@"


def without_passwords(text: str) -> str:
    """Return ``text`` as anybody may read it: without the user and password of each web address in it."""
    return re.sub(_USER_INFO, r"\1…@", text)


@dataclass(frozen=True, slots=True)
class SourceRange:
    """Lines ``first`` to ``last`` (from 1) of ``file``, with their text where it is known.

    ``source`` is the whole file's lines, where they are known: to show what stands around.
    """

    file: str
    first: int
    last: int
    lines: tuple[str, ...] = ()
    source: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.first}"

    def last_line(self) -> SourceRange:
        """Return the last line alone."""
        return SourceRange(self.file, self.last, self.last, self.lines[-1:], self.source)


class OcibuildError(Exception):
    """Something went wrong that a user can understand.

    ``message`` is one line that says what, without passwords of web addresses; ``location`` says where in a Dockerfile;
    ``remedy`` says what to do.
    """

    def __init__(self, message: str, *, remedy: str | None = None, location: SourceRange | None = None) -> None:
        message = without_passwords(message)
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.location = location

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        todo = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.message}{todo}"


@contextmanager
def naming(subject: str) -> Iterator[None]:
    """Let every error begin with what it concerns."""
    try:
        yield
    except OcibuildError as error:
        if not error.message.startswith(subject):
            error.message = f"{subject}: {error.message}"
        raise


class UsageError(OcibuildError):
    """The request itself makes no sense."""


class InvalidReference(OcibuildError):
    """Text that is not an image reference."""


class InvalidDigest(OcibuildError):
    """Text that is not a digest, or one of an algorithm that we cannot compute."""


class InvalidPlatform(OcibuildError):
    """Text that is not a platform."""


class InvalidDocument(OcibuildError):
    """JSON that does not match its schema; the message carries the path of the key."""


class UnsupportedMediaType(OcibuildError):
    """A media type that is refused by name."""


class DigestMismatch(OcibuildError):
    """Bytes whose size or digest is not what their descriptor promises."""


class IncompleteBlob(DigestMismatch):
    """The writing of a blob was given up, for a reason that its writer knows."""


class InvalidLayer(OcibuildError):
    """A changeset that cannot be applied, or is not a tar at all."""


class UnsafePath(OcibuildError):
    """A path that leaves the root it must stay in, or loops."""


class DockerfileError(OcibuildError):
    """A Dockerfile, or a .dockerignore, that cannot be understood."""


class DockerfileErrors(DockerfileError):
    """Several faults of one Dockerfile, in the order of its lines; each of ``errors`` says one with its place."""

    def __init__(self, errors: tuple[DockerfileError, ...]) -> None:
        super().__init__(f"{len(errors)} errors", location=errors[0].location)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


class LintFailed(DockerfileError):
    """Rules of the linter are not kept, in a Dockerfile that makes that an error."""


class SourceError(OcibuildError):
    """A build context, or a file in it, that cannot be used."""


class ConfigError(OcibuildError):
    """A configuration file that cannot be used."""


class StoreError(OcibuildError):
    """The store cannot be used."""


class StoreTooNew(StoreError):
    """The store was made by a newer version."""


class NoSpace(StoreError):
    """No space is left on the device of the store."""


class NotInStore(StoreError):
    """The store has no such image, tag or blob."""


class RegistryError(OcibuildError):
    """A registry said no.

    ``code`` is its error code (distribution-spec, "Error Codes") where it gave one, ``status`` the HTTP status
    (0 where there was no answer), ``retryable`` whether asking again may help.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        retryable: bool = False,
        remedy: str | None = None,
        location: SourceRange | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, location=location)
        self.code = code
        self.status = status
        self.retryable = retryable


class NotFound(RegistryError):
    """No such repository, tag, manifest or blob."""


class Unauthorized(RegistryError):
    """No credentials, wrong ones, or ones that do not allow this."""


class NoMatchingPlatform(RegistryError):
    """The image has no manifest for the wanted platform."""


class SandboxError(OcibuildError):
    """This machine refuses what a sandbox needs."""


class CannotStart(SandboxError):
    """A process cannot be started in its root file system.

    ``exit_status`` is as docker's: 127 for a program that is not there, 126 for one that cannot be run, else 125.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_status: int = 125,
        remedy: str | None = None,
        location: SourceRange | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, location=location)
        self.exit_status = exit_status


class StepFailed(OcibuildError):
    """A step's process ended with a status other than 0.

    ``exit_status`` is as a shell shows it (128 + N for signal N); ``output`` the last lines it wrote.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_status: int,
        output: tuple[str, ...] = (),
        remedy: str | None = None,
        location: SourceRange | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, location=location)
        self.exit_status = exit_status
        self.output = output


class Interrupted(OcibuildError):
    """The user asked to stop."""

    def __init__(self, message: str = "interrupted") -> None:
        super().__init__(message)


# limits that a process inherits: see getrlimit(2)
_LIMITS = {errno.EMFILE: "raise it with ulimit -n", errno.EFBIG: "raise it with ulimit -f"}


def remedy_of_limit(error: OSError) -> str | None:
    """Return what to do about a limit of this process that an error is about, None where it is about something else."""
    return _LIMITS.get(error.errno or 0)
