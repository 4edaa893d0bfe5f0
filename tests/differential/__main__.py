# ruff: noqa: T201  (this is a program)
"""``python -m tests.differential [FILTER…]``: compare the cases whose names contain one of the words, and tell how."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.differential.cases import all_cases
from tests.differential.known import KNOWN
from tests.differential.laboratory import laboratory

if TYPE_CHECKING:
    from tests.differential.laboratory import Comparison


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument(
        "filters", nargs="*", metavar="FILTER", help="part of a case's name: words/, heredoc, copy/a-file"
    )
    parser.add_argument("--fresh", action="store_true", help="ask BuildKit again what it has answered before")
    parser.add_argument("--show", action="store_true", help="show what both did of cases that agree, too")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    cases = [case for case in all_cases() if not asked.filters or any(word in case.name for word in asked.filters)]
    started = time.monotonic()
    with laboratory(fresh=asked.fresh) as lab, ThreadPoolExecutor(asked.jobs) as pool:
        found = []
        for case, future in [(case, pool.submit(lab.compare, case)) for case in cases]:
            if error := future.exception():
                print(f"{case.name}: CANNOT BE COMPARED: {_indent(repr(error))}", flush=True)
                continue
            found.append(future.result())
            _tell(found[-1], show=asked.show)
    agreeing = sum(each.agrees for each in found)
    percent = 100 * agreeing / max(1, len(cases))
    print(f"{agreeing} of {len(cases)} agree: {percent:.1f} % ({time.monotonic() - started:.0f} s)")
    return 0 if agreeing == len(cases) and not any(each.wrong for each in found) else 1


def _tell(comparison: Comparison, *, show: bool) -> None:
    name = comparison.case.name
    if comparison.wrong:
        print(f"{name}: THE CASE IS WRONG: {_indent(comparison.wrong)}", flush=True)
    if comparison.differences:
        reason = f" (known: {KNOWN[name]})" if name in KNOWN else ""
        print(f"{name}: DIFFERS{reason}", flush=True)
        for difference in comparison.differences:
            print(_indent(f"  {difference}"), flush=True)
    elif show:
        print(f"{name}: agrees", flush=True)
    if show:
        theirs = comparison.theirs
        settings = [f"{key}: {value}" for key, value in theirs.config.items()]
        lines = (*settings, *theirs.history, *theirs.tree, *theirs.report)
        for line in lines if theirs.built else (*theirs.message.splitlines(), *comparison.ours.message.splitlines()):
            print(f"    {line}", flush=True)


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")


if __name__ == "__main__":
    sys.exit(main())
