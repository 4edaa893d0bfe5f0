"""The text of a Dockerfile to instructions, and back."""

from ocibuild.dockerfile.parser.parse import Dockerfile, Stage, parse, parse_trigger

__all__ = ["Dockerfile", "Stage", "parse", "parse_trigger"]
