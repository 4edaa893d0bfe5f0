"""How a process is run in a root file system, and what this machine allows of it."""

from ocibuild.executor.bare import BareExecutor
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.executor import Executor
from ocibuild.executor.probe import Check, Diagnosis, diagnose
from ocibuild.executor.process import Process
from ocibuild.executor.proot import ProotExecutor, find_proot

__all__ = [
    "BareExecutor",
    "Check",
    "ChrootExecutor",
    "Diagnosis",
    "Executor",
    "Process",
    "ProotExecutor",
    "diagnose",
    "find_proot",
]
