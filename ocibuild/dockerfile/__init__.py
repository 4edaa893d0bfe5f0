"""Dockerfiles: text to instructions to a graph. Pure functions: no file system, no network."""

from ocibuild.dockerfile.convert import convert
from ocibuild.dockerfile.options import (
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
from ocibuild.dockerfile.parser import Dockerfile, Stage, parse

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
    "convert",
    "parse",
]
