"""How a process is run in a root file system, and what this machine allows of it."""

from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.executor import Executor
from ocibuild.executor.memory import killed_for_memory
from ocibuild.executor.probe import Check, Diagnosis, diagnose
from ocibuild.executor.process import Process

__all__ = ["Check", "ChrootExecutor", "Diagnosis", "Executor", "Process", "diagnose", "killed_for_memory"]
