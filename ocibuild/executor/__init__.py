"""How a process is run in a root file system, and what this machine allows of it.

Each executor is in a module of its own, imported by who makes one.
"""

from ocibuild.executor.choice import Choice, Facts, Forced, choose
from ocibuild.executor.executor import Executor
from ocibuild.executor.memory import killed_for_memory
from ocibuild.executor.process import Connection, Process
from ocibuild.executor.rows import WAYS, Row

__all__ = [
    "WAYS",
    "Choice",
    "Connection",
    "Executor",
    "Facts",
    "Forced",
    "Process",
    "Row",
    "choose",
    "killed_for_memory",
]
