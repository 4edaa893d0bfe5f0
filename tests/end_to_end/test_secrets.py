"""Secrets and SSH agents: there for a step, and nowhere else, before and after."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import tarfile
from typing import TYPE_CHECKING

import pytest

from demo.elf import libraries_of
from tests.support.processes import processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.program import Program

SECRET = "hunter2-and-a-half"
needs_openssh = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="openssh-client is not installed")


def _secret(program: Program, name: str = "secret", text: str = SECRET + "\n") -> Path:
    path = program.user.home / name
    path.write_text(text)
    program.user.give(path)
    return path


STEPS: dict[str, tuple[str, list[str]]] = {
    "a file": ("--mount=type=secret,id=s cat /run/secrets/s", [SECRET]),
    "a file of root": ("--mount=type=secret,id=s stat -c '%a %u:%g' /run/secrets/s", ["400 0:0"]),
    "elsewhere": (
        "--mount=type=secret,id=s,target=/root/.netrc,mode=0640,uid=1000,gid=7 stat -c '%a %u:%g' /root/.netrc",
        ["640 1000:7"],
    ),
    "a variable": ("--mount=type=secret,id=s,env=S echo $S; ls /run 2>/dev/null; true", [SECRET]),
    "of the environment": ("--mount=type=secret,id=V cat /run/secrets/V; echo", ["value"]),
    "not given": ("--mount=type=secret,id=no,env=S --mount=type=secret,id=no2 echo ${S-unset}.; ls /run", [".", ""]),
}


@pytest.mark.parametrize(("step", "expected"), STEPS.values(), ids=STEPS)
def test_step_has_a_secret(step: str, expected: list[str], shared: Program, busybox_base: str) -> None:
    context = shared.context("secrets", {"Dockerfile": f"FROM {busybox_base}\nRUN rm -rf /run\nRUN {step} || true\n"})
    words = ("build", "--progress=plain", "--secret", f"id=s,src={_secret(shared)}", "--secret", "id=V,env=VALUE")
    done = shared.run(*words, context, environ={"VALUE": "value"})
    assert done.returncode == 0, done.stderr
    said = [line.split(" ", 2)[2] for line in done.stderr.splitlines() if line.startswith("#") and "." in line[:8]]
    assert [line for line in said if "No such file" not in line] == [line for line in expected if line]


def test_other_user_of_the_step_does_not_read_a_secret(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nUSER app\nRUN --mount=type=secret,id=s cat /run/secrets/s\n"
    built = shared.try_build(shared.context("secrets", {"Dockerfile": text}), "--secret", f"id=s,src={_secret(shared)}")
    assert built.status == 1
    assert "Permission denied" in built.stderr


def test_secret_does_not_count_for_the_cache(shared: Program, busybox_base: str) -> None:
    text = f"FROM {busybox_base}\nRUN --mount=type=secret,id=s,required wc -c < /run/secrets/s\n"
    context = shared.context("secrets", {"Dockerfile": text})
    first = shared.build(context, "--secret", f"id=s,src={_secret(shared)}")
    assert first.ran("RUN")
    for words in (("--secret", f"id=s,src={_secret(shared, text='other')}"), ()):
        assert shared.build(context, *words).cached("RUN")


ERRORS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "required": ((), 1, "Dockerfile:2: secret s: not given (--secret id=s,src=FILE gives it)"),
    "no such file": (("--secret", "id=s,src=/none"), 1, "secret s: /none: No such file or directory"),
    "unknown key": (("--secret", "id=s,path=/none"), 2, "--secret id=s,path=/none: unknown key 'path'"),
    "no agent": (("--ssh", "default"), 1, "SSH agent default: SSH_AUTH_SOCK is not set"),
}


@pytest.mark.parametrize(("words", "status", "message"), ERRORS.values(), ids=ERRORS)
def test_error_says_what_is_missing(
    words: tuple[str, ...], status: int, message: str, shared: Program, busybox_base: str
) -> None:
    text = f"FROM {busybox_base}\nRUN --mount=type=secret,id=s,required true\n"
    built = shared.try_build(shared.context("errors", {"Dockerfile": text}), *words)
    assert built.status == status
    assert message in built.errors[0]


LEAKS = """\
FROM BASE
RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S test "$S" = "$(cat /run/secrets/s)" && touch /new
RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S exit ${#S}
"""


@pytest.mark.parametrize("progress", ["plain", "rawjson", "quiet"])
def test_secret_is_nowhere_after_the_build(progress: str, ocibuild: Program, busybox_base: str) -> None:
    """Not in the store, the archive, the layers, nor anything that was printed; the last step fails."""
    context = ocibuild.context("leaks", {"Dockerfile": LEAKS.replace("BASE", busybox_base)})
    secret = _secret(ocibuild, text=SECRET)
    archive = ocibuild.user.home / "image.tar"
    words = ("build", f"--progress={progress}", "--secret", f"id=s,src={secret}", "-o", f"type=oci,dest={archive}")
    failed = ocibuild.run(*words, context)
    assert failed.returncode == 1
    assert f"exit code: {len(SECRET)}" in failed.stderr
    last = LEAKS.splitlines(keepends=True)[-1]
    (context / "Dockerfile").write_text(LEAKS.replace("BASE", busybox_base).replace(last, ""))
    done = ocibuild.run(*words, context)
    assert done.returncode == 0, done.stderr
    for text in (failed.stdout, failed.stderr, done.stdout, done.stderr):
        assert SECRET not in text
    assert not list(_files_with(SECRET.encode(), ocibuild.store))
    assert not list(_members_with(SECRET.encode(), archive))


def _files_with(content: bytes, folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and content in path.read_bytes():
            yield path


def _members_with(content: bytes, archive: Path) -> Iterator[str]:
    """Yield what in an archive has the content, its layers unpacked too."""
    with tarfile.open(archive) as outer:
        for member in outer:
            file = outer.extractfile(member)
            if file is None:
                continue
            blob = file.read()
            plain = gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob
            if content in blob + plain:
                yield member.name


def test_secret_is_in_no_process_title_nor_file_of_the_machine_while_the_step_runs(
    ocibuild: Program, busybox_base: str
) -> None:
    text = f"FROM {busybox_base}\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S sleep 1234\n"
    context = ocibuild.context("running", {"Dockerfile": text})
    process = ocibuild.start("build", "--secret", f"id=s,src={_secret(ocibuild)}", context)
    try:
        wait_until(lambda: bool(processes_with("sleep\x001234")))
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    assert SECRET.encode() not in file.read()
            except OSError:
                continue
        assert not list(_files_with(SECRET.encode(), ocibuild.store))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


# -- agents


@pytest.fixture
def ssh_context(ocibuild: Program, busybox_base: str) -> Path:
    """A context whose image has this machine's own ssh-add, with all that it loads."""
    program = shutil.which("ssh-add") or ""
    text = f"""\
FROM {busybox_base}
COPY root /
RUN --mount=type=ssh,required ssh-add -l && ! ssh-add -D 2>/dev/null && ssh-add -l
RUN ! ssh-add -l; test -z "$SSH_AUTH_SOCK"
"""
    files: dict[str, str | bytes] = {"Dockerfile": text}
    for path in (program, *libraries_of(program)):
        folder, name = os.path.split(path)
        with open(path, "rb") as file:
            files[f"root{os.path.realpath(folder)}/{name}"] = file.read()
    context = ocibuild.context("ssh", files)
    for copied in (context / "root").rglob("*"):
        copied.chmod(0o755)
    return context


def _key(program: Program, name: str, *options: str) -> Path:
    path = program.user.home / name
    words = ("-t", "ed25519", "-N", "", "-C", f"the key {name}", "-f", str(path), *options)
    done = program.user.run("ssh-keygen", "-q", *words)
    assert done.returncode == 0, done.stderr
    return path


@needs_openssh
def test_key_of_the_command_line_is_served(ocibuild: Program, ssh_context: Path) -> None:
    mark = str(ocibuild.user.home)
    built = ocibuild.build(ssh_context, "--ssh", f"default={_key(ocibuild, 'one')},{_key(ocibuild, 'two')}")
    listed = [" ".join(line.split()[2:]) for line in built.output[:2]]
    assert listed == ["the key one (ED25519)", "the key two (ED25519)"]
    assert built.output[:2] == built.output[2:4]
    wait_until(lambda: not [pid for pid in processes_with("ssh-agent") if pid in processes_with(mark)])
    private = (ocibuild.user.home / "one").read_bytes().splitlines()[3]
    assert not list(_files_with(private, ocibuild.store))


@needs_openssh
def test_agent_of_the_user_is_forwarded_and_stays_as_it_is(ocibuild: Program, ssh_context: Path) -> None:
    key = _key(ocibuild, "one")
    script = f"""
eval "$(ssh-agent)" > /dev/null && ssh-add -q {key} || exit 9
ocibuild build --progress plain --ssh default {ssh_context}
status=$?
ssh-add -l
kill $SSH_AGENT_PID
exit $status
"""
    done = ocibuild.user.run("sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the key one (ED25519)") == 2
    assert done.stdout.count("the key one (ED25519)") == 1


@needs_openssh
def test_agent_for_keys_ends_when_the_build_is_killed(ocibuild: Program, ssh_context: Path) -> None:
    dockerfile = ssh_context / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("required ssh-add -l", "required sleep 2345"))
    process = ocibuild.start("build", "--ssh", f"default={_key(ocibuild, 'one')}", ssh_context)
    wait_until(lambda: bool(processes_with("sleep\x002345")))
    mark = f"HOME={ocibuild.user.home}"
    assert processes_with(mark)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    wait_until(lambda: not processes_with(mark))


@needs_openssh
def test_key_with_a_passphrase_is_refused_before_the_build(ocibuild: Program, ssh_context: Path) -> None:
    built = ocibuild.try_build(ssh_context, "--ssh", f"default={_key(ocibuild, 'closed', '-N', 'passphrase')}")
    assert built.status == 1
    assert "the key is encrypted (add it to an agent with ssh-add" in built.errors[0]
    assert built.steps == {}
