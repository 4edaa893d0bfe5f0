"""Registries: who we are to them, what they have, and images on their way from there and to there."""

from ocibuild.registry.client import Registry
from ocibuild.registry.config import Endpoint, RegistryConfig
from ocibuild.registry.credentials import Credentials, IdentityToken, Password, RegistryToken
from ocibuild.registry.fetch import RegistryBlobs
from ocibuild.registry.messages import Request
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
    "RegistryBlobs",
    "RegistryConfig",
    "RegistryToken",
    "Request",
    "Resolved",
    "RetryPolicy",
    "Transport",
    "push",
    "resolve",
]
