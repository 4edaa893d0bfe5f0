"""The ``proot`` executor: what others mount is shown to a step by proot, which follows each of its system calls.

It needs no privilege. It does not confine a step either: what is read-only elsewhere can be written, and the machine's
processes are seen. proot runs behind a filter for which the calls that its version does not know do not exist: C
libraries fall back to those that it does know.
"""

from ocibuild.executor.proot.executor import ProotExecutor
from ocibuild.executor.proot.program import TAKE_NEWER, Proot, find_proot, try_proot

__all__ = ["TAKE_NEWER", "Proot", "ProotExecutor", "find_proot", "try_proot"]
