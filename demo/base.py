"""A base image made out of this machine's own files: its shell, a few tools, and the libraries they load."""

from __future__ import annotations

import io
import os
import shutil
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo.elf import NotELF, find_library, libraries_of, read_elf
from ocibuild.layer import Entry, Kind, TarWriter
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
CONFIG = RunConfig(env=(f"PATH={_PATH}",), cmd=("/bin/sh",))


def write_base(write: Callable[[bytes | memoryview], object]) -> list[str]:
    """Write the layer of the base image as a plain tar, and return the names of the tools in it.

    Raises FileNotFoundError where this machine has no shell that could be copied.
    """
    tree = _Tree()
    for name, mode in _FOLDERS.items():
        tree.add_folder(name, mode)
    tree.entries["home/app"] = Entry("home/app", Kind.DIRECTORY, 0o755, uid=1000, gid=1000)
    for name in _MERGED:
        tree.add_folder(f"usr/{name}")
        tree.entries[name] = Entry(name, Kind.SYMLINK, 0o777, linkname=f"usr/{name}")
    for name, text in _FILES.items():
        tree.add_text(name, text)
    if not _add_tool(tree, SHELL):
        raise FileNotFoundError(f"no program {SHELL} that could be copied in {_WHERE}")
    found = [SHELL, *(tool for tool in TOOLS if _add_tool(tree, tool))]
    _add_name_service(tree)
    _write_tree(tree, write)
    return found


def _add_tool(tree: _Tree, tool: str) -> bool:
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


def _add_name_service(tree: _Tree) -> None:
    """Add what the C library itself opens: the loader's cache, and before glibc 2.34 the reader of /etc/passwd."""
    if os.path.isfile("/etc/ld.so.cache"):
        tree.add_copy("/etc/ld.so.cache", "/etc/ld.so.cache")
    shell = read_elf(shutil.which(SHELL, path=_WHERE) or "/bin/sh")
    try:
        library = find_library("libnss_files.so.2", shell, shell.interpreter)
    except FileNotFoundError:
        return
    tree.add_copy(library, library)


