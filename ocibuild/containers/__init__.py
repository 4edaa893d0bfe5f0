"""Containers: a root file system and a config, run; and images made by hand."""

from ocibuild.containers.importing import ImportRequest, import_image
from ocibuild.containers.run import RunRequest, process_of, run_attached

__all__ = ["ImportRequest", "RunRequest", "import_image", "process_of", "run_attached"]
