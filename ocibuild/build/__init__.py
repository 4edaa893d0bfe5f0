"""One request to one result, joining the rooms below."""

from ocibuild.build.agents import SSHSpec, parse_ssh
from ocibuild.build.build import Builder
from ocibuild.build.check import CheckReport, Inspector, OutlineReport, TargetsReport
from ocibuild.build.delivery import Delivery, finish_push
from ocibuild.build.entitlements import entitlements
from ocibuild.build.request import BuildRequest, BuildResult
from ocibuild.build.secrets import SecretSpec, parse_secret

__all__ = [
    "BuildRequest",
    "BuildResult",
    "Builder",
    "CheckReport",
    "Delivery",
    "Inspector",
    "OutlineReport",
    "SSHSpec",
    "SecretSpec",
    "TargetsReport",
    "entitlements",
    "finish_push",
    "parse_secret",
    "parse_ssh",
]
