"""What this machine allows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocibuild.api.base import load_config
from ocibuild.store import translate_errors

if TYPE_CHECKING:
    from ocibuild.executor import Forced
    from ocibuild.executor.probe import Diagnosis


def examine(root: str | None, config: str | None, forced: Forced) -> Diagnosis:
    """Try what this machine allows a build with its store at ``root``; where that is None there is no place for one.

    ``config`` is the configuration's file.
    """
    from ocibuild.executor.probe import diagnose

    path = None if root is None else os.path.abspath(root)
    proot = load_config(config).proot
    with translate_errors(path or "the folder for temporary files"):
        return diagnose(path, os.environ, forced, proot=proot)
