"""Containers: a root file system plus a config."""

from ocibuild.containers.run import RunRequest, process_of, run_attached

__all__ = ["RunRequest", "process_of", "run_attached"]
