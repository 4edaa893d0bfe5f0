"""TLS as the configuration wants it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ocibuild.errors import ConfigError

if TYPE_CHECKING:
    from ocibuild.registry.configuration.certificates import Certificates


def tls_context(certificates: Certificates, *, insecure: bool) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities (else Mozilla's) and these.

    Of several client certificates whose keys are of one kind, the first is shown. Raises ConfigError for a file that
    cannot be used.
    """
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        import certifi

        context.load_verify_locations(certifi.where())
    for file in certificates.ca:
        try:
            context.load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"{file}: cannot be used as `ca`: {error.strerror or error}") from error
    for pair in reversed(certificates.pairs):  # a later one takes the place of one of the same kind
        try:
            context.load_cert_chain(pair.cert, pair.key, password="")  # else OpenSSL would ask on the terminal
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"{pair.cert}, {pair.key}: no usable client certificate: {reason}") from error
    return context
