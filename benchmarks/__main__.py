"""The command line: ``python -m benchmarks [--work NAME… | --growth] [--rounds N] [--json FILE] [--markdown]``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.growth import GROWTHS, GrowthReport, follow
from benchmarks.machine import describe, remove_tree
from benchmarks.measure import Result, compete
from benchmarks.peers import Peers, find_peers
from benchmarks.registry import registry
from benchmarks.roster import Roster
from benchmarks.table import Report
from benchmarks.works import WORKS, Site

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


def main() -> None:
    options = _parse(sys.argv[1:])
    if options.growth:
        _grow(options)
    else:
        _compete(options)


def _show(report: Report | GrowthReport, options: argparse.Namespace) -> None:
    """Print the report, at once: what was made is removed after that, which may take minutes."""
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report.to_json(), file, indent=2)
    print(report.to_markdown() if options.markdown else report.to_text(), flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Hold ocibuild against its peers.")
    add = parser.add_argument
    add("--work", action="append", choices=[work.name for work in WORKS], help="only this one (repeatable)")
    add("--growth", action="store_true", help="ocibuild alone, from small to large, in place of the works")
    add("--rounds", type=int, default=5, metavar="N", help="timed rounds (5)")
    add("--json", metavar="FILE", help="write all figures there")
    add("--markdown", action="store_true", help="print the table for the README")
    add("--ocibuild", metavar="CMD", help="how to start ocibuild")
    add("--user", default="ocibuild-bench", metavar="NAME", help="who runs what is rootless; root makes the user")
    add("--empty-docker", action="store_true", help="docker on PATH takes part: ALL THAT ITS ENGINE HOLDS IS DELETED")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if options.growth and options.work:
        parser.error("--growth has no --work")
    return options


def _compete(options: argparse.Namespace) -> None:
    facts = describe()
    chosen = [work for work in WORKS if not options.work or work.name in options.work]
    works = [work for work in chosen if not work.needs or shutil.which(work.needs)]
    left_out = [f"{work.title}: no {work.needs}" for work in chosen if work not in works]
    wanted = {name for work in works for name in work.contestants}
    with find_peers() as peers, _place(options, wanted, peers) as (site, roster):
        results: dict[str, dict[str, Result]] = {}
        for work in works:
            print(f"{work.title} …", file=sys.stderr)
            contestants = [one for name in work.contestants if (one := roster.contestants.get(name))]
            results[work.name] = compete(work, contestants, site, options.rounds)
        facts |= {"registry": site.registry.name} | roster.versions()
        _show(Report(works, results, facts, [*left_out, *roster.left_out], options.rounds), options)


def _grow(options: argparse.Namespace) -> None:
    facts = describe()
    who = "ocibuild, user" if os.geteuid() else "ocibuild, root"
    courses = []
    with _place(options, {who}, Peers((), None, is_ours=False)) as (site, roster):
        if who not in roster.contestants:
            raise SystemExit("\n".join(roster.left_out))
        for growing in GROWTHS:
            print(f"{growing.title} …", file=sys.stderr)
            courses.append(follow(growing, roster.contestants[who], site, options.rounds))
        _show(GrowthReport(courses, facts | roster.versions(), roster.left_out, options.rounds), options)


@contextmanager
def _place(options: argparse.Namespace, wanted: Collection[str], peers: Peers) -> Iterator[tuple[Site, Roster]]:
    """Give two registries that run and those contestants that can take part; nothing of all is left in the end."""
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch("registry", "destination", "site"))
        source, destination = (
            stack.enter_context(registry(os.path.join(scratch, name))) for name in ("registry", "destination")
        )
        roster = Roster(options, wanted, peers, scratch)
        stack.callback(roster.dismiss)
        yield Site(source, destination, os.path.join(scratch, "site")), roster


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
