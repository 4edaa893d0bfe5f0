"""Checks of a Dockerfile under the rules that ``docker build --check`` publishes. Pure functions and one collector."""

from ocibuild.dockerfile.lint.linter import Linter
from ocibuild.dockerfile.lint.rules import RULES, Finding, Rule
from ocibuild.dockerfile.lint.settings import CheckSettings
from ocibuild.dockerfile.lint.surroundings import Surroundings

__all__ = ["RULES", "CheckSettings", "Finding", "Linter", "Rule", "Surroundings"]
