"""Containers: a root file system and a config, run, looked at and made into images; and images of a tar of files."""

from ocibuild.containers.commit import CommitRequest, commit
from ocibuild.containers.describe import describe_container
from ocibuild.containers.entering import ExecRequest, run_in_container
from ocibuild.containers.files import Difference, differences, export
from ocibuild.containers.importing import ImportRequest, import_image
from ocibuild.containers.run import RunRequest, container_config, process_of, run_attached

__all__ = [
    "CommitRequest",
    "Difference",
    "ExecRequest",
    "ImportRequest",
    "RunRequest",
    "commit",
    "container_config",
    "describe_container",
    "differences",
    "export",
    "import_image",
    "process_of",
    "run_attached",
    "run_in_container",
]
