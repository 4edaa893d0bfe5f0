"""The base images: busybox as BASE, and as BASE:TAG what other images may bring along (and see oddbases.py)."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from demo.upload import upload_image
from ocibuild.oci import RunConfig
from tests.differential.oddbases import push_odd_bases
from tests.support.bases import BUSYBOX_CONFIG, write_busybox

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "differential/base"


def _config(**settings: object) -> RunConfig:
    return replace(BUSYBOX_CONFIG, **settings)  # type: ignore[arg-type]  # the names and types are those below


CONFIGS = {
    "latest": BUSYBOX_CONFIG,
    "bare": RunConfig(),
    "env": _config(env=(*BUSYBOX_CONFIG.env, "FROM_BASE=of the base", "EMPTY=", "SHARED=base")),
    "path": _config(env=("PATH=/opt/bin:/bin:/usr/bin",)),
    "user": _config(user="app", working_dir="/home/app"),
    "workdir": _config(working_dir="/srv/app"),
    "shell": _config(shell=("/bin/sh", "-e", "-c")),
    "command": _config(entrypoint=("/bin/echo", "from"), cmd=("the", "base")),
    "full": _config(
        cmd=("base",),
        labels={"org.example.base": "yes", "org.example.both": "base"},
        exposed_ports=("80/tcp", "53/udp"),
        volumes=("/data", "/var/lib/base"),
        stop_signal="SIGQUIT",
        user="1000:1000",
        working_dir="/tmp",
    ),
    "onbuild": _config(
        on_build=("COPY app.conf /etc/app.conf", "RUN test -f /etc/app.conf && echo triggered > /triggered")
    ),
    "onbuild-from": _config(on_build=("COPY --from=builder /out /out",)),
    "onbuild-settings": _config(
        on_build=("ARG GIVEN=default", "ENV FROM_TRIGGER=$GIVEN", "WORKDIR /trigger", "USER app", 'CMD ["triggered"]')
    ),
    "onbuild-bad": _config(on_build=("FROM scratch",)),
    "users": BUSYBOX_CONFIG,
    "no-users": BUSYBOX_CONFIG,
    "links": BUSYBOX_CONFIG,
    "no-shell": BUSYBOX_CONFIG,
}
"""How the images are run; their files are busybox's, beside those in _FILES."""

_FILES: dict[str, dict[str, str]] = {
    # comments, names that are numbers, a second line for the same name, lines that are no entries, NIS
    "users": {
        "etc/passwd": "# users\nroot:x:0:0:root:/root:/bin/sh\n\nweb:x:33:44::/:\n1234:x:77:88::/:\n"
        "web:x:99:99::/:\nshort:x\nnan:x:one:two::/:\n+::::::\nbig:x:4294967294:4294967294::/:\n",
        "etc/group": "root:x:0:\nstaff:x:50:web\n4321:x:66:\nweb:x:45:\n",
    },
    "no-users": {"etc/passwd": "", "etc/group": ""},
}
_LINKS = {
    "links": {
        "data": "srv/data",
        "absolute": "/srv/data",
        "dangling": "/nowhere/at/all",
        "looped": "looped",
        "escape": "../../../srv/data",
        "file-link": "srv/data/file",
    }
}


def push_bases(registry: str, folder: Path) -> bytes:
    """Push all the base images and return the plain tar of BASE."""
    path = folder / "busybox.tar"
    write_busybox(path)
    plain = path.read_bytes()
    for tag, config in CONFIGS.items():
        layer = io.BytesIO(_changed(plain, tag))
        upload_image(f"{registry}/{REPOSITORY}:{tag}", layer, config, created_by=f"the base {tag}")
    push_odd_bases(f"{registry}/{REPOSITORY}", plain)
    return plain


def _changed(plain: bytes, tag: str) -> bytes:
    """Return the tar with what is special about one base; a later entry of a name counts."""
    if tag not in (*_FILES, *_LINKS, "no-shell"):
        return plain
    written = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as source, tarfile.open(fileobj=written, mode="w") as tar:
        for member in source.getmembers():
            if member.name not in _FILES.get(tag, {}) and not (tag == "no-shell" and member.name == "usr/bin/sh"):
                tar.addfile(member, source.extractfile(member) if member.isfile() else None)
        for name, text in _FILES.get(tag, {}).items():
            if text:
                _add(tar, name, text)
        if tag == "links":
            _add_links(tar)
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.size = 0o644, len(text)
    tar.addfile(member, io.BytesIO(text.encode()))


def _add_links(tar: tarfile.TarFile) -> None:
    for name in ("srv", "srv/data"):
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
    _add(tar, "srv/data/file", "of the base\n")
    for name, target in _LINKS["links"].items():
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
        tar.addfile(member)
