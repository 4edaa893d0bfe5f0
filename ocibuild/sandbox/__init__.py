"""System calls, namespaces, mounts, and the spawner: the only place that talks to the kernel beyond ``os``."""

from ocibuild.sandbox.accounts import read_accounts, user_of_image
from ocibuild.sandbox.deaf import start_deaf
from ocibuild.sandbox.door import knock, open_door
from ocibuild.sandbox.foreign import Emulator, Foreign, Handler
from ocibuild.sandbox.identity import Identity, IDs, enter, stay
from ocibuild.sandbox.mounts import Bind, FileSystem, Folder, Mount, Overlay, RootTree, Secret, Sysfs, Tmpfs, Tree
from ocibuild.sandbox.pasta import PASTA_GATEWAY, PASTA_RESOLVER, Pasta
from ocibuild.sandbox.program import no_directory, not_on_path
from ocibuild.sandbox.running import Outcome, Running
from ocibuild.sandbox.spawner import Spawner
from ocibuild.sandbox.specs import Admission, EntrySpec, FirstSpec, ProgramSpec, StepSpec
from ocibuild.sandbox.syscalls import birth_time, exchange, looker
from ocibuild.sandbox.trial import refuse_where_steps_are_refused
from ocibuild.sandbox.users import User

__all__ = [
    "PASTA_GATEWAY",
    "PASTA_RESOLVER",
    "Admission",
    "Bind",
    "Emulator",
    "EntrySpec",
    "FileSystem",
    "FirstSpec",
    "Folder",
    "Foreign",
    "Handler",
    "IDs",
    "Identity",
    "Mount",
    "Outcome",
    "Overlay",
    "Pasta",
    "ProgramSpec",
    "RootTree",
    "Running",
    "Secret",
    "Spawner",
    "StepSpec",
    "Sysfs",
    "Tmpfs",
    "Tree",
    "User",
    "birth_time",
    "enter",
    "exchange",
    "knock",
    "looker",
    "no_directory",
    "not_on_path",
    "open_door",
    "read_accounts",
    "refuse_where_steps_are_refused",
    "start_deaf",
    "stay",
    "user_of_image",
]
