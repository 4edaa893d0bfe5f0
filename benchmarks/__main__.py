"""The command line: ``python -m benchmarks [--work NAME]… [--rounds N] [--json FILE] [--markdown]``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.machine import describe, remove_tree
from benchmarks.measure import Result, compete
from benchmarks.peers import find_peers
from benchmarks.registry import registry
from benchmarks.roster import Roster
from benchmarks.table import Report
from benchmarks.works import WORKS, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def main() -> None:
    options = _parse(sys.argv[1:])
    report = _run(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report.to_json(), file, indent=2)
    print(report.to_markdown() if options.markdown else report.to_text())


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Hold ocibuild against its peers.")
    add = parser.add_argument
    add("--work", action="append", choices=[work.name for work in WORKS], help="only this one (repeatable)")
    add("--rounds", type=int, default=5, metavar="N", help="timed rounds (5)")
    add("--json", metavar="FILE", help="write all figures there")
    add("--markdown", action="store_true", help="print the table for the README")
    add("--ocibuild", metavar="CMD", help="how to start ocibuild")
    add("--user", default="ocibuild-bench", metavar="NAME", help="who runs what is rootless; root makes the user")
    add("--empty-docker", action="store_true", help="docker on PATH takes part: ALL THAT ITS ENGINE HOLDS IS DELETED")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def _run(options: argparse.Namespace) -> Report:
    facts = describe()
    chosen = [work for work in WORKS if not options.work or work.name in options.work]
    works = [work for work in chosen if not work.needs or shutil.which(work.needs)]
    left_out = [f"{work.title}: no {work.needs}" for work in chosen if work not in works]
    wanted = {name for work in works for name in work.contestants}
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch("registry", "destination", "site"))
        source, destination = (
            stack.enter_context(registry(os.path.join(scratch, name))) for name in ("registry", "destination")
        )
        roster = Roster(options, wanted, stack.enter_context(find_peers()), scratch)
        stack.callback(roster.dismiss)
        site = Site(source, destination, os.path.join(scratch, "site"))
        results: dict[str, dict[str, Result]] = {}
        for work in works:
            print(f"{work.title} …", file=sys.stderr)
            contestants = [one for name in work.contestants if (one := roster.contestants.get(name))]
            results[work.name] = compete(work, contestants, site, options.rounds)
        facts |= {"registry": source.name, **{name: one.version() for name, one in roster.contestants.items()}}
        return Report(works, results, facts, [*left_out, *roster.left_out], options.rounds)


@contextmanager
def _scratch(*names: str) -> Iterator[str]:
    """Give a folder that every user can enter, with these folders in it; all is removed in the end."""
    path = tempfile.mkdtemp(prefix="ocibuild-benchmarks-")
    try:
        os.chmod(path, 0o755)
        for name in names:
            os.mkdir(os.path.join(path, name))
        yield path
    finally:
        remove_tree(path)


if __name__ == "__main__":
    main()
