"""Certificates for the tests, made with openssl: an authority of our own, and what it issues."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from pathlib import Path

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_RSA = ("-newkey", "rsa:2048")


@dataclass(frozen=True, slots=True)
class Issued:
    """The paths of a certificate and its key, both PEM."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return what a server with this certificate wraps its socket with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that nobody trusts yet; ``own.cert`` is what to trust."""

    folder: Path
    own: Issued

    @classmethod
    def make(cls, folder: Path, name: str = "authority", *, rsa: bool = False) -> Authority:
        """Make one whose files are in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        own = Issued(folder / f"{name}.pem", folder / f"{name}-key.pem")
        _request(own, name, *(_RSA if rsa else _EC))
        return cls(folder, own)

    def issue(self, name: str, *names: str) -> Issued:
        """Issue a certificate for hosts, each ``DNS:NAME`` or ``IP:ADDRESS``, or else for a client."""
        issued = Issued(self.folder / f"{name}.pem", self.folder / f"{name}-key.pem")
        extension = ("-addext", f"subjectAltName={','.join(names)}") if names else ()
        usage = ("-addext", "basicConstraints=critical,CA:FALSE")
        _request(issued, name, *_EC, "-CA", str(self.own.cert), "-CAkey", str(self.own.key), *usage, *extension)
        return issued


def _request(issued: Issued, name: str, *options: str) -> None:
    command = [require_peer("openssl"), "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    files = ["-keyout", str(issued.key), "-out", str(issued.cert)]
    subprocess.run([*command, *files, *options], check=True, capture_output=True)
