"""How a process is run in a root file system, and what this machine allows of it."""

from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.executor import Executor
from ocibuild.executor.probe import Check, Diagnosis, diagnose
from ocibuild.executor.process import Connection, Process

__all__ = ["Check", "ChrootExecutor", "Connection", "Diagnosis", "Executor", "Process", "diagnose"]
