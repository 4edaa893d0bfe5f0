"""The machine that a benchmark runs on, and an ordinary user on it."""

from __future__ import annotations

import os
import platform
import pwd
import subprocess
from dataclasses import dataclass

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SMALL_KIB = 32


@dataclass(frozen=True, slots=True)
class User:
    """Who runs a command; ``runtime`` is the user's XDG_RUNTIME_DIR."""

    name: str
    uid: int
    gid: int
    home: str
    runtime: str

    def environment(self) -> dict[str, str]:
        """Return a small environment such as a login gives."""
        home = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "XDG_RUNTIME_DIR": self.runtime}
        return {"PATH": _PATH, "LANG": "C.UTF-8", **home}

    def become(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the command line that runs ``argv`` as this user."""
        if self.uid == os.geteuid():
            return argv
        return ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", *argv)


def myself(scratch: str) -> User:
    """Return who runs the benchmark."""
    return _user(pwd.getpwuid(os.geteuid()), scratch)


def ordinary_user(name: str, scratch: str, *, subordinates: bool = True) -> User:
    """Return the user of this name; root makes it where it is missing, with subordinate IDs or without.

    Raises LookupError where it cannot be.
    """
    try:
        return _user(pwd.getpwnam(name), scratch)
    except KeyError:
        without = [] if subordinates else ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"]
        command = ["useradd", "--create-home", *without, name]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise LookupError(f"no user {name}: {made.stderr.strip()}") from None
        return _user(pwd.getpwnam(name), scratch)


def _user(entry: pwd.struct_passwd, scratch: str) -> User:
    runtime = os.path.join(scratch, f"runtime-{entry.pw_uid}")
    user = User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, runtime)
    if not os.path.isdir(runtime):
        make_folder(runtime, user)
        os.chmod(runtime, 0o700)
    return user


def make_folder(path: str, user: User) -> None:
    """Make a folder that belongs to the user."""
    os.makedirs(path)
    os.chown(path, user.uid, user.gid)


def remove_tree(path: str) -> None:
    """Remove a tree."""
    subprocess.run([*_inside(), "rm", "-rf", "--", path], check=True)


def hollow(path: str) -> None:
    """Give back the space of a tree that nobody needs any more, but not its inodes: see ``Image``."""
    if os.path.exists(path):
        larger = ("-xdev", "-type", "f", "-size", f"+{_SMALL_KIB}k")
        subprocess.run([*_inside(), "find", path, *larger, "-exec", "truncate", "--size=0", "{}", "+"], check=True)


def _inside() -> tuple[str, ...]:
    """Return how an ordinary user comes by files of subordinate IDs."""
    return () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--map-auto")


def describe() -> dict[str, str]:
    """Return the facts that the figures depend on."""
    return {
        "cores": f"{os.cpu_count()} ({_first('/proc/cpuinfo', 'model name')})",
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f} processes in the last minute before the run",
    }


def _first(path: str, key: str) -> str:
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(key)), "unknown")
