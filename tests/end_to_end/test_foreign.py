"""Images for another processor: their steps run in qemu, without any set-up of the machine."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from demo.upload import upload_image, upload_index
from ocibuild.oci import Platform
from tests.support.bases import BUSYBOX_CONFIG, write_busybox
from tests.support.peers import require_peer
from tests.support.program import Built, Program, program_of_ordinary_user, program_of_root
from tests.support.trees import read_archive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(Platform.host().architecture == "arm64", reason="arm64 is not foreign here")
REMEDY = "install qemu-user-static"


@dataclass(frozen=True, slots=True)
class Builder:
    """A program with a PATH of its own, None for the usual one."""

    program: Program
    path: str | None = None

    def build(self, text: str, *words: str | Path) -> Built:
        context = self.program.context("foreign", {"Dockerfile": text})
        done = self.run("build", "--progress", "plain", "--platform", "linux/arm64", *words, context)
        return Built(done.returncode, done.stdout, done.stderr)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environ = {} if self.path is None else {"PATH": self.path}
        return self.program.run(*words, environ=environ, timeout=900)


def _root() -> Iterator[Builder]:
    with program_of_root() as program:
        yield Builder(program)


def _range() -> Iterator[Builder]:
    with program_of_ordinary_user() as program:
        yield Builder(program)


def _one_id() -> Iterator[Builder]:
    """An ordinary user whose PATH has qemu, and not what maps a range of IDs."""
    with program_of_ordinary_user() as program:
        folder = program.user.home / "bin"
        folder.mkdir()
        (folder / "qemu-aarch64-static").symlink_to(require_peer("qemu-aarch64-static"))
        yield Builder(program, f"{program.user.programs}:{folder}")


WHO = {"root": contextmanager(_root), "range": contextmanager(_range), "one-id": contextmanager(_one_id)}


@pytest.fixture(scope="module", params=WHO)
def builder(request: pytest.FixtureRequest) -> Iterator[Builder]:
    """ocibuild as root, as an ordinary user with a range of IDs, and as one with a single ID."""
    with WHO[request.param]() as found:
        yield found


@pytest.fixture(scope="session")
def both(arm64_base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reference of an index: busybox for this machine, Debian for arm64."""
    repository = arm64_base.rpartition(":")[0]
    path = tmp_path_factory.mktemp("busybox") / "layer.tar"
    write_busybox(path)
    with path.open("rb") as tar:
        upload_image(f"{repository}:busybox", tar, BUSYBOX_CONFIG, created_by="busybox-static")
    images = {Platform.host(): f"{repository}:busybox", Platform("linux", "arm64"): arm64_base}
    upload_index(f"{repository}:both", images)
    return f"{repository}:both"


def test_programs_and_those_that_they_start_are_the_images(builder: Builder, arm64_base: str) -> None:
    dockerfile = f"""FROM {arm64_base}
RUN uname -m; dpkg --print-architecture
RUN <<END
printf '#!/bin/sh\\necho script $(uname -m) $0 $1 | sed s/script/started/\\n' > /script
chmod +x /script
END
RUN /script one | cat
RUN ["/script", "two"]
RUN ["bash", "-c", "exec -a renamed sh -c 'echo $0'"]
RUN env -i /bin/sh -c 'perl -e "print qq(perl @ARGV\\n)" a b'
"""
    built = builder.build(dockerfile)
    assert built.status == 0, built.stderr
    assert built.output == [
        "aarch64",
        "arm64",
        "started aarch64 /script one",
        "started aarch64 /script two",
        "renamed",
        "perl a b",
    ]
    assert "WARNING" not in built.stderr


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("/nothing", 127), ("sh -c 'kill -9 $$'", 137)])
def test_exit_statuses_come_through(builder: Builder, arm64_base: str, command: str, status: int) -> None:
    built = builder.build(f"FROM {arm64_base}\nRUN {command}\n")
    assert built.status == 1
    assert built.errors[0].endswith(f"did not complete successfully: exit code: {status}")


def test_owners_and_setuid_programs(builder: Builder, arm64_base: str) -> None:
    archive = builder.program.user.home / "image.tar"
    dockerfile = f"""FROM {arm64_base}
RUN touch /owned && chown 1234:5678 /owned && cp /usr/bin/id /usr/bin/others-id && chmod 4755 /usr/bin/others-id
USER 1000:1000
RUN id -u; others-id -u
"""
    built = builder.build(dockerfile, "-o", f"type=oci,dest={archive}")
    assert built.status == 0, built.stderr
    assert built.output == ["1000", "0"]
    image = read_archive(archive)
    assert (image.tree["owned"].uid, image.tree["owned"].gid) == (1234, 5678)


def test_qemu_cannot_be_changed_by_a_step(builder: Builder, arm64_base: str) -> None:
    """It is what a process shows as its program, and belongs to whoever builds: here all do so from a copy."""
    folder = builder.program.user.home / "own"
    folder.mkdir()
    copy = folder / "qemu-aarch64-static"
    shutil.copy(require_peer("qemu-aarch64-static"), copy)
    builder.program.user.give(folder)
    before = _state(copy)
    path = builder.path or "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    own = Builder(builder.program, f"{builder.program.user.programs}:{folder}:{path}")
    dockerfile = f"""FROM {arm64_base}
RUN sleep 60 & sleep 1; exe=/proc/$!/exe; stat -L -c %s $exe; chmod 777 $exe; chown 1:1 $exe; touch $exe; \\
    truncate -s 0 $exe; exec 3<$exe && echo opened; kill $!; sleep 1; echo >/proc/self/fd/3; true
"""
    built = own.build(dockerfile)
    assert built.status == 0, built.stderr
    assert {str(copy.stat().st_size), "opened"} <= set(built.output)
    refused = [line.rpartition(": ")[2] for line in built.output if "/proc/" in line]
    assert refused[:2] == ["Read-only file system"] * 2
    # a write is refused before that, where the program runs
    assert len(refused) == 5
    assert set(refused) == {"Read-only file system", "Text file busy"}
    assert _state(copy) == before


def _state(path: Path) -> tuple[int, int, int, int, bytes]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, path.read_bytes()


def test_packages_are_made_and_installed(builder: Builder, arm64_base: str) -> None:
    dockerfile = f"""FROM {arm64_base}
RUN <<END
set -e
mkdir -p /p/DEBIAN /p/usr/bin
printf 'Package: p\\nVersion: 1\\nArchitecture: arm64\\nMaintainer: p <p@p>\\nDescription: p\\n' > /p/DEBIAN/control
printf '#!/bin/sh\\nadduser --system --quiet --group p-user && chown p-user: /usr/bin/p\\n' > /p/DEBIAN/postinst
chmod 755 /p/DEBIAN/postinst
printf '#!/bin/sh\\nuname -m\\n' > /p/usr/bin/p
chmod 755 /p/usr/bin/p
dpkg-deb --build /p /p.deb
END
RUN apt-get update && apt-get install -y --no-install-recommends adduser hello && apt-get install -y /p.deb
RUN p && stat -c %U /usr/bin/p && hello
"""
    built = builder.build(dockerfile)
    assert built.status == 0, built.stderr
    assert built.output[-3:] == ["aarch64", "p-user", "Hello, world!"]


def test_stages_for_the_machine_run_as_ever(builder: Builder, both: str) -> None:
    archive = builder.program.user.home / "image.tar"
    dockerfile = f"""FROM --platform=$BUILDPLATFORM {both} AS tools
ARG TARGETARCH
RUN echo $TARGETARCH on $(uname -m) > /made
FROM {both}
COPY --from=tools /made /made
RUN cat /made && uname -m
"""
    built = builder.build(dockerfile, "-o", f"type=oci,dest={archive}")
    assert built.status == 0, built.stderr
    machine = builder.program.user.run("uname", "-m").stdout.strip()
    assert built.output == [f"arm64 on {machine}", "aarch64"]
    image = read_archive(archive)
    assert (image.config["architecture"], image.config["os"]) == ("arm64", "linux")


def test_image_for_another_processor_runs(builder: Builder, arm64_base: str) -> None:
    assert builder.run("pull", "-q", "--platform", "linux/arm64", arm64_base).returncode == 0
    done = builder.run("run", "--platform", "linux/arm64", arm64_base, "sh", "-c", "uname -m; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("aarch64\n", "", 3)
    refused = builder.run("run", "--platform", "linux/riscv64", arm64_base, "true")
    assert refused.stderr.startswith(f"ocibuild: {arm64_base}: no image for linux/riscv64; it has linux/arm64")
    assert refused.returncode == 1


def test_without_qemu_the_platform_is_named(builder: Builder, arm64_base: str) -> None:
    """The folder of the program alone is a PATH without qemu, in which one without newuidmap has one ID."""
    bare = Builder(builder.program, str(builder.program.user.programs))
    built = bare.build(f"FROM {arm64_base}\nRUN echo never\n")
    assert built.status == 1
    assert built.errors[0].endswith(f"Dockerfile:2: /bin/sh: this machine runs no programs for linux/arm64 ({REMEDY})")
    done = bare.run("run", arm64_base, "true")
    assert done.stderr.startswith("ocibuild: /usr/bin/true: this machine runs no programs for linux/arm64")
    assert done.returncode == 126
