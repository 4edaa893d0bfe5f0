"""Requests about a Dockerfile that build nothing: what the linter finds, what a build can be given and aim at."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.build.bases import Bases
from ocibuild.build.build import conversion_options
from ocibuild.build.contexts import NamedContexts
from ocibuild.build.linting import new_linter, part_findings
from ocibuild.build.maincontext import open_main
from ocibuild.build.remotes import Remotes
from ocibuild.dockerfile import convert, parse
from ocibuild.dockerfile.reports.outline import Outliner
from ocibuild.dockerfile.reports.targets import list_targets
from ocibuild.errors import DockerfileError, DockerfileErrors, RegistryError, SourceError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocibuild.build.maincontext import MainContext
    from ocibuild.build.request import BuildRequest
    from ocibuild.dockerfile import Dockerfile, ImageResolver, Options
    from ocibuild.dockerfile.lint import Finding, Linter
    from ocibuild.dockerfile.reports.outline import Outline
    from ocibuild.dockerfile.reports.targets import BuildTarget
    from ocibuild.errors import OcibuildError
    from ocibuild.graph import Emit
    from ocibuild.layer.owners import Ownership
    from ocibuild.registry import Registry
    from ocibuild.store import Store


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the linter finds in ``text``, the content of ``file``, up to an ``error`` that a build would end in."""

    file: str
    text: bytes
    findings: tuple[Finding, ...]
    error: OcibuildError | None = None

    @property
    def clean(self) -> bool:
        """Whether there is nothing to say."""
        return not self.findings and self.error is None


@dataclass(frozen=True, slots=True)
class OutlineReport:
    """What a build of ``text`` can be given."""

    text: bytes
    outline: Outline


@dataclass(frozen=True, slots=True)
class TargetsReport:
    """What a build of ``text`` can aim at."""

    text: bytes
    targets: tuple[BuildTarget, ...]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a request is about, once it is there."""

    main: MainContext
    options: Options
    resolve: ImageResolver


class Inspector:
    """Answers requests with the store and the registry it is given; no base image's layers are asked for."""

    def __init__(
        self, ownership: Callable[[], Ownership], store: Store, registry: Callable[[], Registry], emit: Emit
    ) -> None:
        self._ownership = ownership
        self._store = store
        self._registry = registry
        self._emit = emit

    def check(self, request: BuildRequest) -> CheckReport:
        """Return what the linter finds in the target, or in all stages where none is named.

        Raises SourceError where there is no Dockerfile; what is wrong with it is in the report.
        """
        with self._opened(request) as opened:
            main = opened.main
            try:
                dockerfile = parse(main.dockerfile, file=main.file)
                linter = new_linter(dockerfile, request, main)
            except DockerfileError as error:
                first = error.errors[0] if isinstance(error, DockerfileErrors) else error
                return CheckReport(main.file, main.dockerfile, tuple(part_findings(first, request, main)), error)
            failure = _failure(
                dockerfile, linter, replace(opened.options, every_stage=not request.target), opened.resolve
            )
            return CheckReport(main.file, main.dockerfile, tuple(linter.findings), failure)

    def outline(self, request: BuildRequest) -> OutlineReport:
        """Return what a build of the target can be given; raises what the build's conversion would."""
        with self._opened(request) as opened:
            dockerfile = parse(opened.main.dockerfile, file=opened.main.file)
            linter = new_linter(dockerfile, request, opened.main)
            outliner = Outliner(dockerfile, opened.options)
            linter.read(dockerfile, opened.options)
            convert(dockerfile, replace(opened.options, observers=(linter, outliner)), opened.resolve)
            linter.judge()
            return OutlineReport(opened.main.dockerfile, outliner.outline())

    def targets(self, request: BuildRequest) -> TargetsReport:
        """Return the stages of the Dockerfile."""
        with self._opened(request) as opened:
            dockerfile = parse(opened.main.dockerfile, file=opened.main.file)
            return TargetsReport(opened.main.dockerfile, list_targets(dockerfile))

    @contextmanager
    def _opened(self, request: BuildRequest) -> Iterator[_Opened]:
        remotes = Remotes(self._store, self._registry, self._emit)
        with (
            open_main(request, self._store, remotes, self._ownership) as main,
            NamedContexts.open(request.contexts) as named,
        ):
            bases = Bases(
                self._store, self._registry, self._emit, pull=request.pull, layouts=named.layouts, steps=remotes.steps
            )
            yield _Opened(main, conversion_options(request, named.kinds), bases.resolve)


def _failure(dockerfile: Dockerfile, linter: Linter, options: Options, resolve: ImageResolver) -> OcibuildError | None:
    """Let ``linter`` see the Dockerfile and its conversion, and return the error that this ends in."""
    try:
        linter.read(dockerfile, options)
        convert(dockerfile, replace(options, observers=(linter,)), resolve)
        linter.judge()
    except (DockerfileError, RegistryError, SourceError) as error:
        return error
    return None
