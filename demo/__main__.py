"""``python -m demo``: ocibuild's main job on this machine, from a base image in a registry to one that runs from there.

Nothing is left behind: the store is in a temporary folder, the registry on loopback. Status 0 only where every command
gave what it should.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demo.base import CONFIG, write_base
from demo.registry import Service, serve
from demo.remove import remove
from demo.shown import Unexpected, run, say
from demo.upload import upload_image

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTEXT = "testdata/demo"
_NOTES = "3 notes"  # one of the four files is in .dockerignore
_ONE_ID = re.compile(r"^ids: one", re.MULTILINE)
_STEP = re.compile(r"^#(\d+) \[.*\] (?:RUN|COPY|WORKDIR) ", re.MULTILINE)
_CACHED = re.compile(r"^#(\d+) CACHED$", re.MULTILINE)


def main() -> int:
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        with _folder() as folder, serve() as registry:
            _show(folder, registry)
    except Unexpected as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say("Done: built, cached, run, archived, validated, pushed, pulled back and run again.")
    return 0


@contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="ocibuild-demo-")
    try:
        yield folder
    finally:
        remove(folder)


def _show(folder: str, registry: Service) -> None:
    _push_base(registry.address)
    environ = _environment(folder)
    image = f"{registry.address}/demo/app:1.0"
    archive = f"{folder}/app.tar"
    user = _choose_user(run("ocibuild", "doctor", environ=environ))
    build = ("ocibuild", "build", "--build-arg", f"REGISTRY={registry.address}", "--build-arg", f"RUN_AS={user}")
    greeting = (f"Hello from {user}", _NOTES)

    _check_steps(run(*build, "-t", image, _CONTEXT, environ=environ), cached=False)
    say("Again: nothing has changed, so nothing runs.")
    _check_steps(run(*build, "-t", image, _CONTEXT, environ=environ), cached=True)
    run("ocibuild", "images", environ=environ, expect=("demo/app", "1.0"))
    first = run("ocibuild", "run", "--rm", image, environ=environ, expect=greeting)
    run(*build, "-o", f"type=oci,dest={archive}", _CONTEXT, environ=environ)
    run("ocibuild", "validate", archive, environ=environ)
    run("ocibuild", "push", image, environ=environ)
    if not registry.requests("PUT", "/v2/demo/app/manifests/1.0"):
        raise Unexpected("`ocibuild push` put no manifest into the registry")

    say("And from the registry into another store, as another machine would.")
    other = ("ocibuild", "--root", f"{folder}/other")
    run(*other, "pull", image, environ=environ)
    second = run(*other, "run", "--rm", image, environ=environ, expect=greeting)
    if first != second:
        raise Unexpected("the image that was pulled back printed something else")


def _push_base(address: str) -> None:
    with tempfile.TemporaryFile() as tar:
        tools = write_base(tar.write)
        size = tar.tell()
        tar.seek(0)
        reference = f"{address}/demo/base:latest"
        upload_image(reference, tar, CONFIG, created_by="this machine's own files")
    say(f"A registry on {address} holds {reference}: {len(tools)} of this machine's programs, {size / 1e6:.1f} MB.\n")


def _environment(folder: str) -> dict[str, str]:
    """Return where ocibuild shall keep its store, and settings of its own: the user's do not count here."""
    return {
        "OCIBUILD_ROOT": f"{folder}/store",
        "XDG_CONFIG_HOME": f"{folder}/config",
        "DOCKER_CONFIG": f"{folder}/docker",
    }


def _choose_user(examined: str) -> str:
    """Return whom the image's command shall run as: its own user, unless root is all that the machine allows."""
    if not _ONE_ID.search(examined):
        return "app"
    say("This machine gives ocibuild one user ID alone, so the image's command runs as root here.\n")
    return "root"


def _check_steps(output: str, *, cached: bool) -> None:
    steps = set(_STEP.findall(output))
    if not steps:
        raise Unexpected("`ocibuild build` did not show its steps")
    if cached and steps - set(_CACHED.findall(output)):
        raise Unexpected("the second `ocibuild build` ran a step that had not changed")
    if not cached and steps & set(_CACHED.findall(output)):
        raise Unexpected("the first `ocibuild build` took a step from an empty cache")


if __name__ == "__main__":
    sys.exit(main())
