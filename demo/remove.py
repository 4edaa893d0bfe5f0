"""Removing a store. Run as a program (``python -m demo.remove DIR``) it does so as the root of a user namespace."""

from __future__ import annotations

import shutil
import subprocess
import sys


def remove(folder: str) -> None:
    """Remove ``folder``; what an ordinary user's images hold may belong to the user's subordinate IDs."""
    try:
        shutil.rmtree(folder)
    except PermissionError:
        subprocess.run([sys.executable, "-m", "demo.remove", folder], check=True)


def main() -> None:
    from ocibuild.sandbox import enter

    enter()
    shutil.rmtree(sys.argv[1])


if __name__ == "__main__":
    main()
