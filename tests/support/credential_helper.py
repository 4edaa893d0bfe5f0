"""Credential helpers for the tests: shell scripts, and one that really keeps what it is given."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_STORE = """\
#!{python}
import json, os, sys

folder = {folder!r}
given = sys.stdin.read()
with open(os.path.join(folder, "asked"), "a") as asked:
    asked.write(" ".join([sys.argv[1], given if sys.argv[1] != "store" else json.loads(given)["ServerURL"]]) + "\\n")
for process in ("self", os.getppid()):
    with open(f"/proc/{{process}}/cmdline", "rb") as line, open(os.path.join(folder, "cmdlines"), "ab") as kept:
        kept.write(line.read())
with open("/proc/self/environ", "rb") as environ, open(os.path.join(folder, "environs"), "ab") as kept:
    kept.write(environ.read())
path = os.path.join(folder, "safe.json")
known = json.load(open(path)) if os.path.exists(path) else {{}}
if sys.argv[1] == "store":
    entry = json.loads(given)
    known[entry["ServerURL"]] = entry
elif given not in known:
    print("credentials not found in native keychain")
    sys.exit(1)
elif sys.argv[1] == "get":
    print(json.dumps(known[given]))
else:
    del known[given]
with open(path, "w") as file:
    json.dump(known, file)
"""


def add_helper(folder: Path, name: str, script: str) -> dict[str, str]:
    """Add ``docker-credential-NAME``, a shell script; return the environment in which it is found."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def add_store(folder: Path, name: str) -> dict[str, str]:
    """Add a helper that keeps secrets in ``safe.json``, and what it was asked for in ``asked``.

    ``cmdlines`` has its command lines and those of who ran it, ``environs`` its environments.
    """
    environ = add_helper(folder, name, "")
    folder.joinpath(f"docker-credential-{name}").write_text(_STORE.format(python=sys.executable, folder=str(folder)))
    return environ
