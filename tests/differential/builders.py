"""The two builders: each is given a case in a folder, and answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.differential.answers import Answer, Setting, answer_of_image
from tests.differential.reports import read_report
from tests.support.rootless import CHECKOUT
from tests.support.trees import read_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.differential.cases import Case
    from tests.differential.engine import Engine

TIMEOUT = 120  # seconds, for a build
# without a network, as the machine may have none to give; a case says otherwise with --network
_NETWORK = "--network=none"
_MARKED = re.compile(r"^ *(\d+) \| >>> ", re.MULTILINE)
_PLACE = re.compile(r"^ocibuild: [^\s:]*:(\d+): ", re.MULTILINE)


def build_with_buildkit(case: Case, context: Path, engine: Engine, setting: Setting) -> Answer:
    """Build with docker; the context is ``context``, other files of the case are beside it."""
    archive = context.parent / "theirs.tar"
    call = f"--call={case.call},format=json" if case.call else f"--output=type=oci,dest={archive}"
    words = ("build", "--progress=plain", "--provenance=false", _NETWORK, call, *_options(case, setting), ".")
    done = engine.buildx(*words, cwd=context, environ=_environment(case, setting), timeout=TIMEOUT)
    marked = [int(number) for number in _MARKED.findall(done.stderr.decode(errors="replace"))]
    return _answer(case, done, archive, setting, (marked[0], max(marked)) if marked else None)


def build_with_ocibuild(case: Case, context: Path, store: Path, setting: Setting) -> Answer:
    """Build with this checkout's command line; ``store`` is for all cases."""
    archive = context.parent / "ours.tar"
    call = (f"--call={case.call}", "--format=json") if case.call else (f"--output=type=oci,dest={archive}",)
    words = ("build", "--progress=plain", _NETWORK, *call, *_options(case, setting), ".")
    done = subprocess.run(
        [sys.executable, "-m", "ocibuild", "--root", store, *words],
        cwd=context,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(store.parent),
            "PYTHONPATH": str(CHECKOUT),
            **_environment(case, setting),
        },
        timeout=TIMEOUT,
        check=False,
    )
    place = _PLACE.search(done.stderr.decode(errors="replace"))
    return _answer(case, done, archive, setting, (int(place[1]), int(place[1])) if place else None)


def _answer(
    case: Case,
    done: subprocess.CompletedProcess[bytes],
    archive: Path,
    setting: Setting,
    lines: tuple[int, int] | None,
) -> Answer:
    message = setting.steady(done.stderr).decode(errors="replace")
    if case.call and done.stdout:
        return Answer(
            built=True, message=message, report=read_report(case.call, setting.steady(done.stdout), done.returncode)
        )
    if done.returncode:
        return Answer(built=False, message=message, lines=lines)
    image = read_archive(archive, setting.steady)
    archive.unlink()
    return answer_of_image(case, image, message, setting)


def _options(case: Case, setting: Setting) -> list[str]:
    # a cached step may have the times of another case: they are in no key
    anew = ["--no-cache"] if case.times else []
    return [*anew, *(fill(option, setting.names, case) for option in case.options)]


def _environment(case: Case, setting: Setting) -> dict[str, str]:
    return {name: fill(value, setting.names, case) for name, value in case.environment}


def fill(text: str, names: Mapping[str, str], case: Case) -> str:
    """Put in what BASE and SERVER stand for."""
    text = re.sub(r"\bBASE\b", names["BASE"], text)
    return re.sub(r"\bSERVER\b", f"{names['SERVER']}/{case.name}", text)
