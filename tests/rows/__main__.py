# ruff: noqa: T201  (this is a program)
"""``python -m tests.rows [--row ROW…] [CASE…]``: build cases in rows, and tell what is otherwise than in root's."""

from __future__ import annotations

import argparse
import sys
import time

from tests.rows.cases import CASES
from tests.rows.known import BUILDKIT, complaints
from tests.rows.laboratory import laboratory
from tests.rows.row import ROWS
from tests.rows.truth import Truth


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rows", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    names = [BUILDKIT, *(row.name for row in ROWS)]
    parser.add_argument("--row", action="append", choices=names, help="may be given several times")
    parser.add_argument("--all-files", action="store_true", help="many-files as it is meant")
    asked = parser.parse_args()
    wrong = 0
    with laboratory(all_files=asked.all_files) as lab:
        truth = Truth(lab)
        for case in asked.cases or CASES:
            for name in asked.row or [row.name for row in ROWS if row.container is None]:
                started = time.monotonic()
                if name == BUILDKIT:
                    found = truth.outcome(case).differs(lab.outcome(ROWS[0], case))
                else:
                    found = lab.found(next(row for row in ROWS if row.name == name), case)
                wrong += bool(complaints(name, case, found))
                print(f"{case}, {name}: {len(found)} differences ({time.monotonic() - started:.1f} s)", flush=True)
                for place, text in found.items():
                    print(f"  {place}\n    " + text.replace("\n", "\n    "), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
