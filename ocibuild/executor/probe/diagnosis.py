"""All checks, in the order in which they are shown, and what they lead to."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from ocibuild.errors import SandboxError
from ocibuild.executor.choice import Choice, Facts, Forced, choose
from ocibuild.executor.probe import filters, ids, namespaces, programs, remedies, root, storage
from ocibuild.executor.probe.better import Better, next_better
from ocibuild.executor.probe.check import Check, Place
from ocibuild.executor.probe.surroundings import Surroundings, look_around
from ocibuild.executor.proot import find_proot
from ocibuild.executor.rows import Row
from ocibuild.sandbox import IDs
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CHECKS = (
    namespaces.check_user_namespace,
    ids.check_ids,
    namespaces.check_mount,
    namespaces.check_proc,
    namespaces.check_step,
    storage.check_overlay,
    storage.check_overlay_without_userxattr,
    storage.check_reflink,
    storage.check_user_xattr,
    root.check_chroot,
    root.check_chown,
    root.check_mknod,
    filters.check_filter,
    filters.check_notification,
    filters.check_landlock,
    filters.check_ptrace,
    programs.check_proot,
    programs.check_pasta,
    programs.check_qemu,
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, what a build does here, and the one change that would make it better, where one is known."""

    checks: tuple[Check, ...]
    choice: Choice
    better: Better | None

    @property
    def possible(self) -> bool:
        """Whether a RUN is possible."""
        return self.choice.row is not Row.NONE and all(check.passed for check in self.checks if check.name == "store")


def diagnose(
    store_root: str | None, environ: Mapping[str, str], forced: Forced, *, proot: str | None = None
) -> Diagnosis:
    """Try what a build needs, on the file system of ``store_root``, and return what was found; nothing stays.

    ``proot`` is what the configuration says of that.

    Where there can be no store, the rest is tried on the file system for temporary files.
    """
    around = look_around(environ)
    with _place(store_root, around, lambda: find_proot(proot, environ)) as (place, store):
        checks = (_kernel(), _container(around), store, *(check(place) for check in _CHECKS))
    facts = facts_of(checks)
    choice = choose(facts, forced)
    failed = {check.name: check.remedy for check in checks if not check.passed}
    return Diagnosis(checks, choice, None if forced.anything else next_better(choice, facts, failed))


def facts_of(checks: tuple[Check, ...]) -> Facts:
    """Return what the checks say about the choice."""
    passed = {check.name for check in checks if check.passed}
    found = next((check.value for check in checks if check.name == "ids"), "")
    return Facts(
        ids=IDs[found.upper()] if found else None,
        step="step" in passed,
        overlay="overlay" in passed,
        chroot="chroot" in passed,
        mknod="mknod" in passed,
        chown="chown" in passed,
        proot="proot" in passed,
        notification="seccomp-notification" in passed,
    )


def _kernel() -> Check:
    name = os.uname()
    return Check("kernel", passed=True, evidence=f"{name.sysname} {name.release}, {name.machine}", value=name.release)


def _container(around: Surroundings) -> Check:
    kind = around.container.value
    return Check("container", passed=True, evidence=f"{kind} ({around.container_evidence})", value=kind)


@contextmanager
def _place(
    store_root: str | None, around: Surroundings, find_proot: Callable[[], str | None]
) -> Iterator[tuple[Place, Check]]:
    """Yield an empty directory at the store's place, else at another, and the check of the store's."""
    with ExitStack() as cleanup:
        try:
            folder = None if store_root is None else cleanup.enter_context(_folder_below(store_root))
            seen = "HOME is not set and the user has no home"
        except OSError as error:
            folder, seen = None, storage.refusal_of_store(error)
        if folder is None:
            store = Check("store", passed=False, evidence=seen, remedy=remedies.STORE)
            folder = cleanup.enter_context(_temporary_folder(seen))
        else:
            kind = storage.file_system_of(folder)
            store = Check("store", passed=True, evidence=f"{store_root}, on {kind}", value=kind)
        yield Place(folder, storage.file_system_of(folder), around, find_proot), store


@contextmanager
def _temporary_folder(seen: str) -> Iterator[str]:
    """Yield a new directory where temporary files go; ``seen`` is why there is none where the store is to be."""
    with ExitStack() as cleanup:
        try:
            folder = cleanup.enter_context(_folder_below(tempfile.gettempdir()))
        except OSError as error:
            message = f"there is no place for a store, and none for temporary files: {seen}"
            raise SandboxError(message, remedy=remedies.STORE) from error
        yield folder


@contextmanager
def _folder_below(path: str) -> Iterator[str]:
    """Yield a new directory in ``path``; it, and what of ``path`` had to be made, is removed at the end."""
    made: list[str] = []
    try:
        _make_missing(path, made)
        with tempfile.TemporaryDirectory(dir=path, prefix="probe-") as folder:
            yield folder
    finally:
        for one in reversed(made):
            with suppress(OSError):  # somebody else has put something there meanwhile
                os.rmdir(one)


def _make_missing(path: str, made: list[str]) -> None:
    missing = [path] if not os.path.isdir(path) else []
    while missing and not os.path.lexists(parent := os.path.dirname(missing[-1])):
        missing.append(parent)
    for one in reversed(missing):
        os.mkdir(one, 0o700)
        made.append(one)
