"""The tree of a small image, listed before it is written as a tar."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.layer.entry import Entry, Kind
from ocibuild.layer.writer import TarWriter

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 18
_MERGED = ("bin", "sbin", "lib", "lib64")
_FOLDERS = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/os-release": 'ID=demo\nNAME="ocibuild demo"\nPRETTY_NAME="ocibuild demo base"\n',
}


@dataclass(slots=True)
class Tree:
    """What the image shall hold, by name; ``copies`` says which file of the machine a name is a copy of.

    /bin, /sbin, /lib and /lib64 are symlinks into /usr; what is added there goes where they lead.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)

    def add_skeleton(self) -> None:
        """Add the usual folders, and the users root, app (1000) and nobody."""
        for name, mode in _FOLDERS.items():
            self.add_folder(name, mode)
        self.entries["home/app"] = Entry("home/app", Kind.DIRECTORY, 0o755, uid=1000, gid=1000)
        for name in _MERGED:
            self.add_folder(f"usr/{name}")
            self.add_symlink(name, f"usr/{name}")
        for name, text in _FILES.items():
            self.add_text(name, text)

    def add_folder(self, name: str, mode: int = 0o755) -> None:
        if name and name not in self.entries:
            self.add_folder(os.path.dirname(name))
            self.entries[name] = Entry(name, Kind.DIRECTORY, mode)

    def add_symlink(self, name: str, target: str) -> None:
        self.entries[name] = Entry(name, Kind.SYMLINK, 0o777, linkname=target)

    def add_text(self, name: str, text: str) -> None:
        self.add_folder(os.path.dirname(name))
        self.bodies[name] = text.encode()
        self.entries[name] = Entry(name, Kind.FILE, 0o644, size=len(self.bodies[name]))

    def add_copy(self, path: str, target: str) -> None:
        """Copy the machine's file ``path`` to ``target``; what is one file there is one file here, too."""
        name = _merged(target)
        if name in self.entries:
            return
        self.add_folder(os.path.dirname(name))
        real = os.path.realpath(path)
        first = next((known for known, source in self.copies.items() if source == real), None)
        if first is not None:
            self.entries[name] = Entry(name, Kind.HARDLINK, linkname=first)
            return
        self.copies[name] = real
        status = os.stat(real)
        mode = stat.S_IMODE(status.st_mode) & 0o755
        self.entries[name] = Entry(name, Kind.FILE, mode, size=status.st_size, mtime_ns=status.st_mtime_ns)

    def write(self, write: Callable[[bytes | memoryview], object]) -> None:
        """Write the tree as a plain tar, by name, but hard links last: a link needs its target."""
        tar = TarWriter(write)
        for entry in sorted(self.entries.values(), key=lambda entry: (entry.kind is Kind.HARDLINK, entry.name)):
            with self._body(entry.name) as body:
                tar.add(entry, iter(partial(body.read, _PIECE), b""))
        tar.close()

    def _body(self, name: str) -> io.BufferedIOBase:
        if name in self.copies:
            return open(self.copies[name], "rb")
        return io.BytesIO(self.bodies.get(name, b""))


def _merged(path: str) -> str:
    """Return the name in the image, where /bin, /lib and the like are symlinks into /usr."""
    name = os.path.normpath(path).lstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in _MERGED else name
