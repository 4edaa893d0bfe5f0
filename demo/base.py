"""A base image made out of this machine's own files: its shell, a few tools, and the libraries they load."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from demo.elf import NotELF, find_library, libraries_of, read_elf
from demo.tree import Tree
from ocibuild.oci import RunConfig

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WHERE = f"{_PATH}:/run/current-system/sw/bin"
SHELL = "sh"
# fmt: off
TOOLS = (
    "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dirname", "env", "expr", "false", "find",
    "grep", "head", "hostname", "id", "ln", "ls", "mkdir", "mktemp", "mv", "printf", "pwd", "readlink", "rm",
    "rmdir", "sed", "sleep", "sort", "stat", "tail", "tee", "test", "touch", "tr", "true", "uname", "uniq",
    "wc", "whoami",
)
# fmt: on
CONFIG = RunConfig(env=(f"PATH={_PATH}",), cmd=("/bin/sh",))


def write_base(write: Callable[[bytes | memoryview], object]) -> list[str]:
    """Write the layer of the base image as a plain tar, and return the names of the tools in it.

    Raises FileNotFoundError where this machine has no shell that could be copied.
    """
    tree = Tree()
    tree.add_skeleton()
    if not _add_tool(tree, SHELL):
        raise FileNotFoundError(f"no program {SHELL} that could be copied in {_WHERE}")
    found = [SHELL, *(tool for tool in TOOLS if _add_tool(tree, tool))]
    _add_name_service(tree)
    tree.write(write)
    return found


def _add_tool(tree: Tree, tool: str) -> bool:
    """Add a program with all that it loads; False where this machine has none that can be copied."""
    path = shutil.which(tool, path=_WHERE)
    if path is None:
        return False
    try:
        libraries = list(libraries_of(path))
    except (NotELF, OSError):
        return False
    tree.add_copy(path, f"/usr/bin/{tool}")
    for library in libraries:
        tree.add_copy(library, library)
    return True


def _add_name_service(tree: Tree) -> None:
    """Add what the C library itself opens: the loader's cache, and before glibc 2.34 the reader of /etc/passwd."""
    if os.path.isfile("/etc/ld.so.cache"):
        tree.add_copy("/etc/ld.so.cache", "/etc/ld.so.cache")
    shell = read_elf(shutil.which(SHELL, path=_WHERE) or "/bin/sh")
    try:
        library = find_library("libnss_files.so.2", shell, shell.interpreter)
    except FileNotFoundError:
        return
    tree.add_copy(library, library)
