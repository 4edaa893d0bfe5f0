"""Whether the kernel had to kill processes because there was no memory left."""

from __future__ import annotations


def killed_for_memory() -> int:
    """Return how many processes of this machine were killed so since it started; 0 where it does not tell."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
