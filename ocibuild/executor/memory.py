"""Whether the kernel had to kill processes because there was no memory left."""

from __future__ import annotations


def killed_for_memory() -> int:
    """Return how many processes of this machine were killed so since it started; 0 where it does not tell."""
    try:
        with open("/proc/vmstat", "rb") as file:
            return int(file.read().partition(b"\noom_kill ")[2].partition(b"\n")[0] or b"0")
    except OSError:
        return 0
