"""Everything a comparison needs: registry, web server, engine, stores; and the answers that BuildKit gave before."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from demo.remove import remove
from tests.differential import answers, bases, builders, oddbases, reports, server
from tests.differential.answers import Answer, Setting, differences
from tests.differential.bases import REPOSITORY, push_bases
from tests.differential.builders import build_with_buildkit, build_with_ocibuild, fill
from tests.differential.engine import docker_root, docker_versions, engine
from tests.differential.server import serve
from tests.support import trees
from tests.support.cache import cache_folder
from tests.support.peers import docker_registry, require_root
from tests.support.trees import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.differential.cases import Case
    from tests.differential.engine import Engine

_LONG_AGO = 1_500_000_000  # about the time of every file of a context that a case gives no other


@dataclass(frozen=True, slots=True)
class Comparison:
    """``wrong`` says why the case itself is not as it says; then the differences mean nothing."""

    case: Case
    theirs: Answer
    ours: Answer
    wrong: str | None
    differences: list[str]

    @property
    def agrees(self) -> bool:
        return not self.differences


@dataclass
class Laboratory:
    """Compares cases, several at once if asked by several threads. ``engine`` is started when it is first needed."""

    folder: Path
    stack: ExitStack
    setting: Setting
    fresh: bool
    _starting: threading.Lock = field(default_factory=threading.Lock)
    _engine: Engine | None = None

    def compare(self, case: Case) -> Comparison:
        """Build a case with both."""
        folder = self.folder / "cases" / case.name
        context = _write(case, folder, self.setting)
        try:
            theirs = self._ask_buildkit(case, context)
            ours = build_with_ocibuild(case, context, self.folder / "store", self.setting)
        finally:
            shutil.rmtree(folder)
        return Comparison(case, theirs, ours, _check_outcome(case, theirs), differences(case, theirs, ours))

    def _ask_buildkit(self, case: Case, context: Path) -> Answer:
        """Return what BuildKit answered before to the very same, or ask it."""
        known = _answers() / case.digest / self._version
        if known.exists() and not self.fresh:
            return Answer.from_json(known.read_text())
        answer = build_with_buildkit(case, context, self._started(), self.setting)
        if _check_outcome(case, answer):  # it may be the machine's fault: better ask again
            return answer
        known.parent.mkdir(exist_ok=True)
        making = known.with_name(f"making-{threading.get_ident()}-{os.getpid()}")
        making.write_text(answer.to_json())
        making.rename(known)
        return answer

    @cached_property
    def _version(self) -> str:
        return re.sub(r"[^\w.=+~-]", "_", f"{docker_versions(docker_root())} {_version_of_asking()}")

    def _started(self) -> Engine:
        with self._starting:
            if self._engine is None:
                (self.folder / "engine").mkdir()
                self._engine = self.stack.enter_context(engine(docker_root(), self.folder / "engine"))
            return self._engine


@contextmanager
def laboratory(*, fresh: bool = False) -> Iterator[Laboratory]:
    """Yield a laboratory; ``fresh`` asks BuildKit again what it was asked before."""
    require_root()
    folder = Path(tempfile.mkdtemp(prefix="ocibuild-differential-", dir="/tmp"))
    try:
        with ExitStack() as stack:
            registry = stack.enter_context(docker_registry(folder))
            web = stack.enter_context(serve(folder / "cases"))
            names = {"BASE": f"{registry}/{REPOSITORY}", "SERVER": web}
            base = flatten([push_bases(registry, folder)])
            yield Laboratory(folder, stack, Setting(base, names), fresh)
    finally:
        remove(str(folder))


def _answers() -> Path:
    folder = cache_folder() / "buildkit-answers"
    folder.mkdir(exist_ok=True)
    return folder


def _version_of_asking() -> str:
    """What is another where the question or the reading of the answer is: the modules of both."""
    total = hashlib.sha256()
    modules = (answers, bases, builders, oddbases, reports, server, trees)
    for file in (__file__, *(module.__file__ for module in modules)):
        total.update(Path(str(file)).read_bytes())
    return total.hexdigest()[:12]


def _check_outcome(case: Case, theirs: Answer) -> str | None:
    """Say where the truth is not what the case promises: then the case tests something else than its name says."""
    if theirs.built != (case.fails is None):
        return f"BuildKit {'builds it' if theirs.built else 'fails'}:\n{theirs.message[-2000:]}"
    if case.fails and (theirs.lines is None or int(case.fails) != theirs.lines[0]):
        return f"BuildKit complains about {theirs.lines}, not {case.fails}:\n{theirs.message[-2000:]}"
    return None


def _write(case: Case, folder: Path, setting: Setting) -> Path:
    """Write the files of a case and return its context."""
    context = folder / "context"
    context.mkdir(parents=True)
    context.chmod(0o755)
    for name, text in case.files.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fill(text, setting.names, case), encoding="utf-8")
    # BuildKit does not send a file again that has the size and time of the one it was sent for another case
    time = _LONG_AGO + int(case.digest[:6], 16)
    for path in sorted(folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (time, time))
    script = fill(case.prepare, setting.names, case)
    # nor does it fetch a commit again that it has from the repository of another case: histories name the first one
    date = f"@{time} +0000"
    # by env(1), as os.environ is no mapping to copy in a thread: pytest changes it with each test
    command = ["env", f"GIT_AUTHOR_DATE={date}", f"GIT_COMMITTER_DATE={date}", "sh", "-eu"]
    done = subprocess.run(command, cwd=context, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{case.name}: prepare failed:\n{done.stdout}{done.stderr}"
    return context
