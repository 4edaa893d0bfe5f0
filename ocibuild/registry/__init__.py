"""Registries: who we are to them, what they have, and images on their way from there and to there."""

from ocibuild.registry.authfile import server_key
from ocibuild.registry.certificates import usual_certificate_folders
from ocibuild.registry.client import Registry
from ocibuild.registry.config import Endpoint, RegistryConfig, domain_of
from ocibuild.registry.credentials import Credential, Credentials, IdentityToken, Password, RegistryToken
from ocibuild.registry.fetch import RegistryBlobs
from ocibuild.registry.images import RegistryDestination, RegistrySource
from ocibuild.registry.keeping import Kept, forget, keep
from ocibuild.registry.messages import Request
from ocibuild.registry.resolve import Resolved, resolve
from ocibuild.registry.retry import RetryPolicy
from ocibuild.registry.transport import Transport

__all__ = [
    "Credential",
    "Credentials",
    "Endpoint",
    "IdentityToken",
    "Kept",
    "Password",
    "Registry",
    "RegistryBlobs",
    "RegistryConfig",
    "RegistryDestination",
    "RegistrySource",
    "RegistryToken",
    "Request",
    "Resolved",
    "RetryPolicy",
    "Transport",
    "domain_of",
    "forget",
    "keep",
    "resolve",
    "server_key",
    "usual_certificate_folders",
]
