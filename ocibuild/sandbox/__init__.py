"""System calls, namespaces, mounts, and the spawner: the only place that talks to the kernel beyond ``os``."""

from ocibuild.sandbox.identity import Identity, IDs, enter
from ocibuild.sandbox.mounts import Bind, FileSystem, Folder, Mount, Overlay, RootTree, Secret, Sysfs, Tmpfs, Tree
from ocibuild.sandbox.pasta import PASTA_GATEWAY, PASTA_RESOLVER, Pasta
from ocibuild.sandbox.spawner import Outcome, Running, Spawner
from ocibuild.sandbox.step import StepSpec
from ocibuild.sandbox.users import User, find_user

__all__ = [
    "PASTA_GATEWAY",
    "PASTA_RESOLVER",
    "Bind",
    "FileSystem",
    "Folder",
    "IDs",
    "Identity",
    "Mount",
    "Outcome",
    "Overlay",
    "Pasta",
    "RootTree",
    "Running",
    "Secret",
    "Spawner",
    "StepSpec",
    "Sysfs",
    "Tmpfs",
    "Tree",
    "User",
    "enter",
    "find_user",
]
