"""The command line: ``python -m benchmarks [--work NAME]… [--rounds N] [--json FILE] [--markdown]``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.base import cached_layer, push_base
from benchmarks.contestants import Buildah, BuildKit, Contestant, Ocibuild
from benchmarks.contestants.ocibuild import install
from benchmarks.machine import User, describe, myself, ordinary_user, remove_tree
from benchmarks.measure import CommandFailed, compete
from benchmarks.peers import Peers, find_peers
from benchmarks.registry import registry
from benchmarks.table import Report
from benchmarks.works import WORKS, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main() -> None:
    options = _parse(sys.argv[1:])
    report = _run(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report.to_json(), file, indent=2)
    print(report.to_markdown() if options.markdown else report.to_text())


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Hold ocibuild against its peers.")
    names = [work.name for work in WORKS]
    parser.add_argument("--work", action="append", choices=names, help="only this one (repeatable)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds (5)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print the table for the README")
    parser.add_argument("--ocibuild", metavar="CMD", help="how to start ocibuild")
    parser.add_argument(
        "--user", default="ocibuild-bench", metavar="NAME", help="root makes this one for rootless runs"
    )
    parser.add_argument(
        "--empty-docker", action="store_true", help="docker on PATH takes part; ALL IT HOLDS IS DELETED"
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> Report:
    works = [work for work in WORKS if not options.work or work.name in options.work]
    layer = cached_layer()
    with ExitStack() as stack:
        scratch = tempfile.mkdtemp(prefix="ocibuild-benchmarks-")
        stack.callback(remove_tree, scratch)
        os.chmod(scratch, 0o755)
        for name in ("registry", "site"):
            os.mkdir(os.path.join(scratch, name))
        left_out: list[str] = []
        peers = stack.enter_context(find_peers())
        contestants = list(_contestants(options, peers, scratch, left_out))
        address, server = stack.enter_context(registry(os.path.join(scratch, "registry")))
        site = Site(push_base(address, "debian", layer), os.path.join(scratch, "site"))
        results = {}
        for work in works:
            print(f"{work.title} …", file=sys.stderr)
            results[work.name] = compete(work, contestants, site, options.rounds)
        facts = {**describe(), "registry": server, **{one.name: one.version() for one in contestants}}
        return Report(works, contestants, results, facts, left_out, options.rounds)


def _contestants(options: argparse.Namespace, peers: Peers, scratch: str, left_out: list[str]) -> Iterator[Contestant]:
    """Yield who takes part, their stores empty; who does not is said in ``left_out``."""
    me = myself(scratch)
    user = me if me.uid else _rootless(options.user, scratch, left_out)
    for one in (*_ours(options, me, user, scratch, left_out), *_theirs(options, peers, me, user, scratch, left_out)):
        one.empty()
        yield one


def _rootless(name: str, scratch: str, left_out: list[str]) -> User | None:
    try:
        return ordinary_user(name, scratch)
    except (LookupError, OSError) as error:
        left_out.append(f"all that is rootless: {error}")
        return None


def _ours(
    options: argparse.Namespace, me: User, user: User | None, scratch: str, left_out: list[str]
) -> Iterator[Contestant]:
    given = tuple(shlex.split(options.ocibuild or ""))
    yield Ocibuild(given or (sys.executable, "-m", "ocibuild"), me, os.path.join(scratch, "store"), _CHECKOUT)
    if user is None or user == me:
        return
    try:
        program = given or install(_CHECKOUT, os.path.join(scratch, "venv"))
        yield Ocibuild(program, user, os.path.join(scratch, "user-store"))
    except CommandFailed as error:
        left_out.append(f"ocibuild, user: {error}")


def _theirs(
    options: argparse.Namespace, peers: Peers, me: User, user: User | None, scratch: str, left_out: list[str]
) -> Iterator[Contestant]:
    docker = BuildKit(peers, me)
    if not peers.has("docker") or not docker.answers():
        left_out.append("BuildKit: no docker, or no engine that answers")
    elif not peers.ours and not options.empty_docker:
        left_out.append("BuildKit: a cold start needs its engine emptied, and --empty-docker was not given")
    else:
        yield docker
    if not peers.has("buildah") or user is None:
        left_out.append("buildah: not on PATH, or no ordinary user to run it")
    else:
        peers.add_user(user)
        yield Buildah(peers, user, os.path.join(scratch, "buildah"))


if __name__ == "__main__":
    main()
