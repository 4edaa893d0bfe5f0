from __future__ import annotations

import pytest

from ocibuild.graph import BindMount, Inline, InlineFile, Network, Run, Security
from ocibuild.oci import ImageConfig
from tests.unit.dockerfile.conversion.helpers import AMD64, ARM64, Images, build, created_by, labels, refused

SH = ("/bin/sh", "-c")

COMMANDS = [
    ("RUN <<E\na $V\n\tb\nE", "a $V\n\tb\n", "RUN <<E (a v...)"),
    ("RUN <<-E\n\ta\n\t\tb\n\tE", "a\nb\n", "RUN <<-E (a...)"),
    ('RUN <<"E F"\na\nE F', "a\n", 'RUN <<"E F" (a)'),
    ("RUN <<E\nE", "", "RUN <<E ()"),
    ("RUN <<-E\n\t#!/bin/x\n\tE", "#!/bin/x\n", "RUN <<-E (#!/bin/x)"),
    ("RUN cat <<E > /x\n$V\nE", "cat <<E > /x\n$V\nE", "RUN cat <<E > /x"),
    ("RUN a <<-A b <<'B'\n\t1\n\tA\n2\nB", "a <<-A b <<'B'\n\t1\nA\n2\nB", "RUN a <<-A b <<'B'"),
    ("RUN <<E cat\n1\nE", "<<E cat\n1\nE", "RUN <<E cat"),
]


@pytest.mark.parametrize(("line", "text", "label"), COMMANDS, ids=[row[0] for row in COMMANDS])
def test_a_document_in_a_command(line: str, text: str, label: str) -> None:
    target = build(f"FROM a\nENV V=v\n{line}\n")
    assert isinstance(target.vertex, Run)
    assert target.vertex.args == (*SH, text)
    assert target.vertex.mounts == ()
    assert labels(target)[-1] == f"[2/2] {label}"
    assert created_by(target)[-1] == f"RUN /bin/sh -c {text} # buildkit"


def test_a_script_that_names_its_interpreter_is_run_as_a_file() -> None:
    target = build('FROM a\nSHELL ["/bin/ash", "-ec"]\nRUN <<run.py\n#!/usr/bin/python3\nprint()\nrun.py\n')
    assert isinstance(target.vertex, Run)
    assert target.vertex.args == ("/bin/ash", "-ec", "/dev/pipes/run.py")
    (mount,) = target.vertex.mounts
    assert isinstance(mount, BindMount)
    assert (mount.target, mount.path, mount.read_only) == ("/dev/pipes", "/", True)
    assert isinstance(mount.source, Inline)
    assert mount.source.origin.label == "[internal] preparing inline document"
    assert mount.source.files == (InlineFile("run.py", b"#!/usr/bin/python3\nprint()\n", 0o755),)
    assert created_by(target)[-1] == "RUN /bin/ash -ec /dev/pipes/run.py # buildkit"


SHELLS = [
    ("RUN a", SH),
    ('SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN a', ("/bin/bash", "-o", "pipefail", "-c")),
    ("RUN <<E\n#!/bin/x\nE", SH),
    ('RUN ["/bin/sh", "-c", "a"]', ()),
]


@pytest.mark.parametrize(("lines", "shell"), SHELLS, ids=["usual", "own", "script", "none"])
def test_a_step_says_which_shell_its_command_is_given_to(lines: str, shell: tuple[str, ...]) -> None:
    vertex = build(f"FROM a\n{lines}\n").vertex
    assert isinstance(vertex, Run)
    assert vertex.shell == shell
    assert vertex.args[: len(shell)] == shell


@pytest.mark.parametrize(
    ("flag", "permission"), [("--network=host", "network.host"), ("--security=insecure", "security.insecure")]
)
def test_what_a_step_asks_for_must_be_allowed(flag: str, permission: str) -> None:
    error = refused(f"FROM a\nRUN {flag} x\n")
    assert error.message == f"RUN {flag} is not allowed"
    assert error.remedy == f"allow it with --allow {permission}"
    vertex = build(f"FROM a\nRUN {flag} x\n", allowed={permission}).vertex
    assert isinstance(vertex, Run)
    assert (vertex.network is Network.HOST) == (permission == "network.host")
    assert (vertex.security is Security.INSECURE) == (permission == "security.insecure")


def test_a_build_on_the_network_of_the_host_allows_it() -> None:
    vertex = build("FROM a\nRUN --network=host x\n", network=Network.HOST).vertex
    assert isinstance(vertex, Run)
    assert vertex.network is Network.HOST


def test_a_step_that_is_not_needed_may_ask_for_anything() -> None:
    assert build("FROM a AS unused\nRUN --network=host x\nFROM a\n")


def test_a_step_knows_what_its_programs_are_made_for() -> None:
    """Of the machine's own platform nothing is said; what an image is, counts, not what was wanted."""
    native = ImageConfig(platform=AMD64)
    text = "FROM a AS x\nRUN one\nFROM --platform=$BUILDPLATFORM a AS y\nRUN two\nFROM only AS z\nRUN three\n"
    images = Images(whole={"only": native})
    platforms = {}
    for stage in "xyz":
        vertex = build(text, images, platform=ARM64, target=stage).vertex
        assert isinstance(vertex, Run)
        platforms[stage] = vertex.platform
    assert platforms == {"x": ARM64, "y": None, "z": None}
