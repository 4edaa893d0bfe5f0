"""Registries: who we are to them, what they have, and images on their way from there and to there."""

from ocibuild.registry.client import Registry
from ocibuild.registry.configuration.certificates import usual_certificate_folders
from ocibuild.registry.configuration.config import Endpoint, RegistryConfig, domain_of
from ocibuild.registry.fetch import RegistryBlobs
from ocibuild.registry.http.messages import Request
from ocibuild.registry.http.retry import RetryPolicy
from ocibuild.registry.http.transport import Transport
from ocibuild.registry.identity.authfile import server_key
from ocibuild.registry.identity.credentials import Credential, Credentials, IdentityToken, Password, RegistryToken
from ocibuild.registry.identity.keeping import Kept, forget, keep
from ocibuild.registry.images import RegistryDestination, RegistrySource
from ocibuild.registry.resolve import Resolved, resolve

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
