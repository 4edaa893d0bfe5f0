"""What this machine allows, found out by doing it in child processes: the evidence behind ``ocibuild doctor``."""

from ocibuild.executor.probe.better import Better
from ocibuild.executor.probe.check import Check
from ocibuild.executor.probe.diagnosis import Diagnosis, diagnose

__all__ = ["Better", "Check", "Diagnosis", "diagnose"]
