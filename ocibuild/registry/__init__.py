"""Registries: who we are to them, what they have, and images on their way from there and to there."""

from ocibuild.registry.client import Registry
from ocibuild.registry.config import Endpoint, RegistryConfig
from ocibuild.registry.credentials import Credentials, IdentityToken, Password, RegistryToken
from ocibuild.registry.messages import Request
from ocibuild.registry.pull import pull_layers
from ocibuild.registry.push import push
from ocibuild.registry.resolve import Resolved, resolve
from ocibuild.registry.retry import RetryPolicy
from ocibuild.registry.transport import Transport

__all__ = [
    "Credentials",
    "Endpoint",
    "IdentityToken",
    "Password",
    "Registry",
    "RegistryConfig",
    "RegistryToken",
    "Request",
    "Resolved",
    "RetryPolicy",
    "Transport",
    "pull_layers",
    "push",
    "resolve",
]
