"""How a process is run in a root file system, and what this machine allows of it."""

from ocibuild.executor.bare import BareExecutor
from ocibuild.executor.choice import Choice, Facts, Forced, choose
from ocibuild.executor.chroot import ChrootExecutor
from ocibuild.executor.executor import Executor
from ocibuild.executor.process import Process
from ocibuild.executor.rows import Row

__all__ = ["BareExecutor", "Choice", "ChrootExecutor", "Executor", "Facts", "Forced", "Process", "Row", "choose"]
