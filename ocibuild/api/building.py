"""Images built, and Dockerfiles asked about."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.api.base import SessionBase
from ocibuild.errors import UsageError
from ocibuild.store import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocibuild.build import (
        BuildRequest,
        BuildResult,
        CheckReport,
        Inspector,
        OutlineReport,
        TargetsReport,
    )
    from ocibuild.solver.dryrun import PlannedStep


class Building(SessionBase):
    """See ``Session``."""

    def build(self, request: BuildRequest) -> BuildResult:
        """Build an image, put it into the store, and write its outputs."""
        from ocibuild.build import Builder, Delivery
        from ocibuild.output import check_outputs

        is_annotated = bool(request.index_annotations)
        check_outputs(request.outputs, request.tags, of_index=request.is_index, is_annotated=is_annotated)
        if request.debug_on_failure:
            _need_terminal()
        with (
            self._working(request.forced) as machine,
            self._shown("build") as shown,
            translate_errors(self._settings.root),
            Delivery(request, self.store, machine, lambda: self.registry, self._limits, shown) as delivery,
        ):
            usual = machine, self.store, lambda: self.registry, self._stop_transfers, shown, self._limits
            builder = Builder(*usual, outlet=delivery, elsewhere=delivery.caches, hold=shown.held)
            results = builder.build(request)
            if request.verifies:
                delivery.verify(results, Builder(*usual).build(request.repeated(), after=results[-1].last_step))
            return delivery.finish(results)

    def preview(self, request: BuildRequest) -> tuple[PlannedStep, ...]:
        """Return what a build would do, without any of it: see ``Builder.preview()``."""
        from ocibuild.build import Builder, Delivery

        with (
            self._machine(request.forced) as machine,
            self._shown("plan") as emit,
            translate_errors(self._settings.root),
            self.store.leases.held(),
            Delivery(
                replace(request, outputs=()), self.store, machine, lambda: self.registry, self._limits, emit
            ) as delivery,
        ):
            builder = Builder(
                machine,
                self.store,
                lambda: self.registry,
                self._stop_transfers,
                emit,
                self._limits,
                elsewhere=delivery.caches,
            )
            return builder.preview(request)

    def check(self, request: BuildRequest) -> CheckReport:
        """Return what the linter finds in a Dockerfile, and the error, if any, that its build would begin with."""
        with self._inspector() as inspector:
            return inspector.check(request)

    def outline(self, request: BuildRequest) -> OutlineReport:
        """Return the build arguments, secrets and SSH agents that a build can be given."""
        with self._inspector() as inspector:
            return inspector.outline(request)

    def targets(self, request: BuildRequest) -> TargetsReport:
        """Return the stages that a build can aim at."""
        with self._inspector() as inspector:
            return inspector.targets(request)

    @contextmanager
    def _inspector(self) -> Iterator[Inspector]:
        from ocibuild.build import Inspector

        with self._machine() as machine, self._shown("") as emit, translate_errors(self._settings.root):
            yield Inspector(machine.ownership, self.store, lambda: self.registry, emit)


def _need_terminal() -> None:
    from ocibuild.executor.terminal import users_terminal

    if users_terminal() is None:
        raise UsageError(
            "--debug-on-failure needs a terminal on standard input", remedy="leave it out where nobody can type"
        )
