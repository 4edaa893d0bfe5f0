"""``python -m tests.support.setup_peers``: makes ready what the tests compare with.

As root on Debian it installs the peers that are missing and makes an ordinary user with subordinate IDs. Elsewhere it
changes nothing. Then one line for each peer that is not there says which tests are left out.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.peers import missing_peers

ORDINARY_USER = "ocibuild-test"
SYSTEM_PYTHON = "/usr/bin/python3"
_RANGE = 65536
_TUN = Path("/dev/net/tun")


def main() -> None:
    if os.geteuid() == 0 and _is_debian():
        _install(_missing_packages())
        _make_user()
        _open_tun()
    for peer in missing_peers():
        _tell(f"left out: tests with {peer.program}, for {peer.purpose} (Debian: apt-get install {peer.package})")
    if os.geteuid() == 0 and not _has_user():
        _tell(f"left out: tests as an ordinary user (there is no user {ORDINARY_USER})")
    if os.geteuid() != 0:
        _tell("left out: tests that only root can run")


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201  (this is a program)


def _is_debian() -> bool:
    return Path("/etc/debian_version").exists() and Path("/usr/bin/apt-get").exists()


def _missing_packages() -> list[str]:
    packages = [peer.package for peer in missing_peers()]
    has_venv = [SYSTEM_PYTHON, "-c", "import ensurepip, venv"]
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run(has_venv, check=False, capture_output=True).returncode:
        packages.append("python3-venv")
    return packages


def _install(packages: list[str]) -> None:
    """Install the packages, one by one where this Debian does not have them all."""
    if not packages:
        return
    _tell(f"Installing {' '.join(packages)}.")
    _apt_get("update")
    if not _apt_get("install", "--no-install-recommends", *packages):
        for package in packages:
            _apt_get("install", "--no-install-recommends", package)


def _apt_get(*words: str) -> bool:
    """Run apt-get without questions; its output is shown where it fails."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120", *words]
    result = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        _tell(f"{' '.join(command)} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.returncode == 0


def _make_user() -> None:
    if not _has_user():
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", ORDINARY_USER], check=True)
    for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        first = _first_free(Path(path))
        if first is not None:
            subprocess.run(["usermod", option, f"{first}-{first + _RANGE - 1}", ORDINARY_USER], check=True)


def _open_tun() -> None:
    """Let every user make a network interface of their own, as udev does where there is one."""
    with suppress(OSError):
        _TUN.chmod(0o666)


def _has_user() -> bool:
    try:
        pwd.getpwnam(ORDINARY_USER)
    except KeyError:
        return False
    return True


def _first_free(path: Path) -> int | None:
    """Return the first ID after all ranges of a file such as subuid(5) describes; None where the user has one."""
    rows = [line.split(":") for line in path.read_text().splitlines()] if path.exists() else []
    if any(row[0] == ORDINARY_USER for row in rows):
        return None
    return max([100000, *(int(row[1]) + int(row[2]) for row in rows if len(row) == 3)])


if __name__ == "__main__":
    main()
