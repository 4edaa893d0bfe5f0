"""Where registries are: the configuration file, in the shape of ``buildkitd.toml``.

::

    [registry."docker.io"]
      mirrors = ["127.0.0.1:5000", "mirror.example.com/docker-hub"]
    [registry."registry.example.com"]
      http = false             # true: plain HTTP
      insecure = false         # true: certificates are not checked
      ca = ["example-ca.pem"]  # trusted beside the system's; relative to the file
      parallel = 6             # blobs on their way at the same time, from there and to there
      [[registry."registry.example.com".keypair]]  # who we are to the registry
        key = "key.pem"
        cert = "cert.pem"

    [build]
      proot = "/opt/proot"     # beside the file where it is relative

    [store]
      keep-storage = "20GB"    # what the build cache may take after a build; without it, all is kept

The table ``[limits]`` of the same file is in the module of that name.
"""

from __future__ import annotations

import os
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ocibuild.errors import ConfigError
from ocibuild.graph import parse_size
from ocibuild.oci import Limits
from ocibuild.registry.configuration.certificates import Certificates, KeyPair, find_certificates, has_folder
from ocibuild.registry.configuration.limits import parse_limits
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DOCKER_HUB = "docker.io"
_HUB_SERVER = "registry-1.docker.io"
PARALLEL = 6
_MOST_PARALLEL = 64
_HUB_NAMES = frozenset({DOCKER_HUB, _HUB_SERVER, "index.docker.io"})


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What the file says of one host; ``http`` is None where it does not say. ``ca`` are paths of PEM files."""

    mirrors: tuple[str, ...] = ()
    http: bool | None = None
    insecure: bool = False
    ca: tuple[str, ...] = ()
    parallel: int = PARALLEL
    pairs: tuple[KeyPair, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server that may hold the images of a registry.

    ``base_url`` is scheme and host without a slash at the end; ``prefix`` stands before each repository's path there
    (a mirror may live in a folder of another registry). ``ca`` are paths of PEM files.
    """

    base_url: str
    host: str
    http: bool
    insecure: bool = False
    ca: tuple[str, ...] = ()
    is_mirror: bool = False
    prefix: str = ""

    def repository(self, path: str) -> str:
        """Return what this server calls the repository ``path``."""
        return f"{self.prefix}/{path}" if self.prefix else path


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """The registry part of the configuration; without a file, every registry is HTTPS but those on loopback.

    ``certificate_folders`` hold a folder of certificates for each host, see ``certificates``.
    """

    hosts: Mapping[str, HostConfig] = field(default_factory=dict)
    certificate_folders: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    proot: str | None = None
    keep_storage: int | None = None

    @classmethod
    def load(cls, path: str | None, *, certificate_folders: tuple[str, ...] = ()) -> RegistryConfig:
        """Read the file at ``path``; None is an empty one.

        Raises ConfigError where the file cannot be read, is not TOML, or says something we do not know.
        """
        if path is None:
            return cls(certificate_folders=certificate_folders)
        document = _read(path)
        _refuse_unknown(document, ("registry", "limits", "build", "store"), path)
        registries = _table(document.get("registry", {}), "registry", path)
        folder = os.path.dirname(os.path.abspath(path))
        hosts = {_key(name): _host_config(name, table, path, folder) for name, table in registries.items()}
        limits = parse_limits(document.get("limits", {}), path)
        proot = _proot(document.get("build", {}), path, folder)
        return cls(hosts, certificate_folders, limits, proot, _keep_storage(document.get("store", {}), path))

    def host(self, host: str) -> HostConfig:
        """Return what is said of ``host`` (with its port, where it has one)."""
        return self.hosts.get(_key(host), HostConfig())

    def plain_http(self, host: str) -> bool:
        """Tell whether ``host`` is spoken to without TLS: said so, or on loopback with nothing said about TLS."""
        config = self.host(host)
        if config.http is not None:
            return config.http
        says_tls = config.insecure or config.ca or config.pairs or has_folder(host, self.certificate_folders)
        return is_loopback(host) and not says_tls

    def certificates(self, host: str) -> Certificates:
        """Return whom to trust as ``host`` and who we are to it: the file's certificates, then those in the folders.

        Raises ConfigError where a certificate has no key, or a key no certificate.
        """
        config = self.host(host)
        found = find_certificates(host, self.certificate_folders)
        return Certificates((*config.ca, *found.ca), (*config.pairs, *found.pairs))

    def mirrors(self, domain: str) -> tuple[Endpoint, ...]:
        """Return the servers to ask for the images of ``domain`` before itself, in order."""
        return tuple(self._endpoint(mirror, is_mirror=True) for mirror in self.host(domain).mirrors)

    def origin(self, domain: str) -> Endpoint:
        """Return the server that ``domain`` itself is; Docker Hub's has another name than its images."""
        return self._endpoint(_HUB_SERVER if domain == DOCKER_HUB else domain, is_mirror=False)

    def _endpoint(self, location: str, *, is_mirror: bool) -> Endpoint:
        host, _, prefix = location.partition("/")
        config = self.host(host)
        http = self.plain_http(host)
        return Endpoint(
            base_url=f"{'http' if http else 'https'}://{host}",
            host=host,
            http=http,
            insecure=config.insecure,
            ca=config.ca,
            is_mirror=is_mirror,
            prefix=prefix.strip("/"),
        )


def is_loopback(host: str) -> bool:
    """Tell whether ``host``, with or without a port, is ``localhost``, in 127.0.0.0/8 or ``::1``."""
    import ipaddress
    from urllib.parse import urlsplit

    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_hub(host: str) -> bool:
    """Tell whether ``host`` is one of Docker Hub's names."""
    return host in _HUB_NAMES


def domain_of(host: str) -> str:
    """Return what the registry at ``host`` is called in names of images."""
    return DOCKER_HUB if is_hub(host) else host


def _key(host: str) -> str:
    return domain_of(host.lower())


def _read(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", remedy="check the path of the configuration file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _proot(value: object, path: str, folder: str) -> str | None:
    members = _table(value, "build", path)
    _refuse_unknown(members, ("proot",), path, "build")
    proot = members.get("proot")
    if proot is not None and not isinstance(proot, str):
        raise ConfigError(f"{path}: build.proot must be a path")
    return None if proot is None else os.path.join(folder, proot)


def _keep_storage(value: object, path: str) -> int | None:
    members = _table(value, "store", path)
    _refuse_unknown(members, ("keep-storage",), path, "store")
    wanted = members.get("keep-storage")
    if wanted is None:
        return None
    size = parse_size(wanted) if isinstance(wanted, str) else wanted
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ConfigError(f'{path}: store.keep-storage must be a size, such as "20GB"')
    return size


def _host_config(name: str, table: object, path: str, folder: str) -> HostConfig:
    where = f'registry."{name}"'
    members = _table(table, where, path)
    _refuse_unknown(members, ("mirrors", "http", "insecure", "ca", "parallel", "keypair"), path, where)
    mirrors = _texts(members, "mirrors", path, where)
    for mirror in mirrors:
        _check_mirror(mirror, path, where)
    return HostConfig(
        mirrors=mirrors,
        http=_flag(members, "http", path, where),
        insecure=_flag(members, "insecure", path, where) or False,
        ca=tuple(os.path.join(folder, file) for file in _texts(members, "ca", path, where)),
        parallel=_count(members, "parallel", path, where) or PARALLEL,
        pairs=_pairs(members.get("keypair", []), path, f"{where}.keypair", folder),
    )


def _pairs(value: object, path: str, where: str, folder: str) -> tuple[KeyPair, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{path}: {where} must be a list of tables", remedy=f"write [[{where}]]")
    pairs = []
    for item in value:
        members = _table(item, where, path)
        _refuse_unknown(members, ("key", "cert"), path, where)
        for name in ("key", "cert"):
            if not isinstance(members.get(name), str):
                raise ConfigError(f"{path}: {where} must have `{name}`, the path of a file")
        pairs.append(KeyPair(os.path.join(folder, members["cert"]), os.path.join(folder, members["key"])))
    return tuple(pairs)


def _check_mirror(mirror: str, path: str, where: str) -> None:
    if "://" in mirror or not mirror.partition("/")[0]:
        raise ConfigError(
            f"{path}: {where}.mirrors: {mirror!r} is not HOST[:PORT][/PATH]",
            remedy='for plain HTTP say `http = true` under [registry."HOST"]',
        )


def _refuse_unknown(table: Mapping[str, Any], known: Collection[str], path: str, where: str = "") -> None:
    for name in table:
        if name not in known:
            full = f"{where}.{name}" if where else name
            raise ConfigError(f"{path}: unknown key {full!r}", remedy=f"known here: {', '.join(known)}")


def _table(value: object, where: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {where} must be a table")
    return value


def _flag(table: Mapping[str, Any], name: str, path: str, where: str) -> bool | None:
    value = table.get(name)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{path}: {where}.{name} must be true or false")
    return value


def _count(table: Mapping[str, Any], name: str, path: str, where: str) -> int | None:
    value = table.get(name)
    if value is not None and (type(value) is not int or not 1 <= value <= _MOST_PARALLEL):
        raise ConfigError(f"{path}: {where}.{name} must be a number from 1 to {_MOST_PARALLEL}")
    return value


def _texts(table: Mapping[str, Any], name: str, path: str, where: str) -> tuple[str, ...]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{path}: {where}.{name} must be a list of strings")
    return tuple(value)
