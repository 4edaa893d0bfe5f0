"""Dockerfiles: text to instructions to a graph. Pure functions: no file system, no network."""

from ocibuild.dockerfile.conversion.buildarguments import source_date
from ocibuild.dockerfile.conversion.changes import changed_config
from ocibuild.dockerfile.conversion.convert import convert
from ocibuild.dockerfile.conversion.options import (
    GitContext,
    HttpContext,
    ImageContext,
    ImageResolver,
    LocalFolder,
    NamedContext,
    Options,
    ResolvedBase,
    Target,
)
from ocibuild.dockerfile.parser.parse import Dockerfile, Stage, parse

__all__ = [
    "Dockerfile",
    "GitContext",
    "HttpContext",
    "ImageContext",
    "ImageResolver",
    "LocalFolder",
    "NamedContext",
    "Options",
    "ResolvedBase",
    "Stage",
    "Target",
    "changed_config",
    "convert",
    "parse",
    "source_date",
]
