"""Base images that this project's own tools would not write: odd configs, no history, layers in every old manner."""

from __future__ import annotations

import gzip
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING, Any

from ocibuild.oci import Descriptor, Digest, Reference, mediatypes
from ocibuild.registry import Credentials, Registry, RegistryConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_PLATFORM = {"architecture": _ARCHITECTURE, "os": "linux"}
_SEARCH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "2020-01-02T03:04:05.123456789Z"
_MADE = {"created": _CREATED, "created_by": "the first layer"}
_DOCKER = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

CONFIGS: dict[str, dict[str, Any]] = {
    "odd-nulls": {
        "config": dict.fromkeys(
            ("Env", "Cmd", "Entrypoint", "Volumes", "Labels", "Healthcheck", "OnBuild", "Shell", "ExposedPorts"),
        ),
        "history": None,
    },
    "odd-none": {},
    "odd-docker": {
        "author": "an author",
        "comment": "a comment",
        "container": "0" * 64,
        "docker_version": "20.10.7",
        "variant": "",
        "config": {
            "Hostname": "made-here",
            "Domainname": "example.org",
            "AttachStdin": False,
            "Tty": True,
            "OpenStdin": True,
            "MacAddress": "",
            "Image": "sha256:" + "0" * 64,
            "Env": [_SEARCH],
            "Cmd": ["sh"],
            "ArgsEscaped": True,
            "OnBuild": [],
            "Labels": {},
        },
        "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) "]},
        "history": [{**_MADE, "author": "an author", "comment": "buildkit.dockerfile.v0"}],
    },
    "odd-env": {"config": {"Env": ["NO_EQUALS", "A=1", _SEARCH, "A=2", "B=", "C=x=y=z", "D= blanks  "]}},
    "odd-lists": {"config": {"Env": [_SEARCH], "Entrypoint": [], "Cmd": [""], "OnBuild": [], "Shell": []}},
    "odd-values": {
        "config": {
            "Env": [_SEARCH],
            "ExposedPorts": {"80": {}, "443/TCP": {}, "1000-1002/udp": {}},
            "Volumes": {"relative": {}, "/slash/": {}, "/data": {}},
            "WorkingDir": "/slashes//and/./dots/",
            "StopSignal": "15",
            "Labels": {"": "nothing", "two words": "a\nb", "ä": "ö"},
        }
    },
    "odd-relative": {"config": {"Env": [_SEARCH], "WorkingDir": "relative/folder"}},
    "odd-healthy": {
        "config": {
            "Env": [_SEARCH],
            "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Retries": 7, "StartPeriod": 1},
        }
    },
    "odd-history": {
        "config": {"Env": [_SEARCH]},
        "history": [
            {"created": _CREATED, "created_by": "nothing", "empty_layer": True},
            _MADE,
            {"created_by": "no time", "empty_layer": True, "comment": "c", "author": "a"},
            {"empty_layer": True},
        ],
    },
    "odd-short-history": {"config": {"Env": [_SEARCH]}, "history": [_MADE]},
    "odd-long-history": {
        "config": {"Env": [_SEARCH]},
        "history": [_MADE, {**_MADE, "created_by": "one too many"}, {**_MADE, "empty_layer": True}],
    },
    "odd-layers": {"config": {"Env": [_SEARCH]}},
    "odd-manifest": {"config": {"Env": [_SEARCH], "Cmd": ["sh"]}, "history": [_MADE]},
    "odd-empty": {"config": {"Env": ["A=1"], "Cmd": ["nothing"]}},
}
"""The config documents by tag, without what is the same for all: the platform, the time, the layers."""

_D, _F, _L, _H = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
_Member = tuple[str, bytes, int, str]  # name, type, mode, and the text or the link's target

_SECOND: list[_Member] = [
    ("./dotted/file", _F, 0o640, "no folder in the tar"),
    ("/slashed", _F, 0o600, "below the root"),
    ("twice", _F, 0o600, "first"),
    ("twice", _F, 0o644, "second"),
    ("full", _D, 0o700, ""),
    ("full/a", _F, 0o644, "a"),
    ("full/b/c", _F, 0o644, "c"),
    ("gone", _D, 0o755, ""),
    ("gone/x", _F, 0o644, "x"),
    ("was-folder/deep/x", _F, 0o644, "x"),
    ("was-file", _F, 0o644, "x"),
    ("was-link", _L, 0o777, "full"),
    ("name-one", _F, 0o4755, "two names"),
    ("name-two", _H, 0o644, "name-one"),
]
_THIRD: list[_Member] = [
    ("full/.wh..wh..opq", _F, 0o600, ""),
    ("full/new", _F, 0o644, "new"),
    (".wh.gone", _F, 0o600, ""),
    (".wh.was-never-there", _F, 0o600, ""),
    ("was-folder", _F, 0o644, "a file"),
    ("was-file", _D, 0o2775, ""),
    ("was-file/x", _F, 0o644, "x"),
    ("was-link", _D, 0o755, ""),
    ("was-link/y", _F, 0o644, "y"),
    ("etc/.wh.nsswitch.conf", _F, 0o600, ""),
]


def push_odd_bases(repository: str, plain: bytes) -> None:
    """Push the images; ``plain`` is the tar of busybox, which is the first layer of all but the empty one."""
    more = {"odd-layers": [_tar(_SECOND), _tar(_THIRD)], "odd-short-history": [_tar(_SECOND)]}
    with Registry(RegistryConfig(), Credentials()) as registry:
        for tag, config in CONFIGS.items():
            layers = [] if tag == "odd-empty" else [plain, *more.get(tag, [])]
            _push(registry, Reference.parse(f"{repository}:{tag}"), config, layers, docker=tag == "odd-manifest")


def _push(
    registry: Registry, target: Reference, config: dict[str, Any], layers: Sequence[bytes], *, docker: bool
) -> None:
    manifest_type, config_type = _DOCKER if docker else (mediatypes.OCI_MANIFEST, mediatypes.OCI_CONFIG)
    layer_type = _DOCKER_LAYER if docker else mediatypes.OCI_LAYER_GZIP
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(layer)) for layer in layers]}
    document = {**_PLATFORM, "created": _CREATED, **config, "rootfs": rootfs}
    blobs = [(config_type, json.dumps(document).encode())]
    blobs += [(layer_type, gzip.compress(layer, 1, mtime=0)) for layer in layers]
    described = [_push_blob(registry, target, kind, content) for kind, content in blobs]
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": described[0].to_json(),
        "layers": [layer.to_json() for layer in described[1:]],
    }
    registry.push_manifest(target, json.dumps(manifest).encode(), manifest_type)


def _push_blob(registry: Registry, target: Reference, media_type: str, content: bytes) -> Descriptor:
    descriptor = Descriptor(media_type, Digest.of(content), len(content))
    registry.upload_blob(target, descriptor, lambda offset: io.BytesIO(content[offset:]), lambda _: None)
    return descriptor


def _tar(members: Sequence[_Member]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, kind, mode, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            member.linkname = text if kind in (_L, _H) else ""
            member.size = len(text) if kind == _F else 0
            tar.addfile(member, io.BytesIO(text.encode()) if kind == _F else None)
    return written.getvalue()
