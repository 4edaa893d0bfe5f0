"""The command line as a user meets it: what is printed where, and the exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import require_peer

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (folder / "file").write_text("content")
    return folder


def ocibuild(
    tmp_path: Path, *words: str, environ: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocibuild", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(_CHECKOUT), **(environ or {})},
        input=stdin,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld", "."], "ocibuild: no such command: 'biuld'; did you mean 'build'?"),
        (["qqqq"], "ocibuild: no such command: 'qqqq'"),
        (["attach", "x"], "ocibuild: the command 'attach' is not supported yet"),
        (["image", "lss"], "ocibuild image: no such command: 'lss'; did you mean 'ls'?"),
        (["build"], "ocibuild build: Missing argument 'CONTEXT'."),
        (["build", "--taget", "x", "."], "ocibuild build: No such option"),
        (["build", "--taget", "x", "."], "--target"),
        (["build", "--add-host", "a", "."], "--add-host a: not HOST:IP"),
        (["build", "--shm-size", "much", "."], "--shm-size much: no size"),
        (["run", "--ulimit", "nofile=2:1", "image"], "--ulimit nofile=2:1: the soft limit is above the hard one"),
        (["run", "-it", "image"], "the input device is not a TTY"),
        (["build", "--sbom", "true", "."], "ocibuild build: --sbom is not supported yet"),
        (["build", "--no-cache", "--no-cache-filter", "x", "."], "--no-cache runs the steps of every stage"),
        (["build", "--no-cache-filter", "x,", "."], "--no-cache-filter: a stage without a name"),
        (["build", "--network", "bridge", "."], "'bridge' is not one of 'default', 'none', 'host', 'pasta'."),
        (["build", "--jobs", "0", "."], "0 is not in the range x>=1."),
        (["build", "--label", "x", "."], "--label x: not KEY=VALUE"),
        (["build", "--platform", "linux/amd64,linux/arm64", "--dry-run", "."], "--dry-run is of one platform"),
        (["build", "-o", "type=zip,dest=folder", "."], "unknown type 'zip'"),
        (["build", "-o", "type=oci", "."], "dest= is missing"),
        (["run", "-v", "name:/b", "image"], "named volumes are not supported"),
        (["run", "-v", "/a", "image"], "volumes are not supported"),
        (["run", "-v", "/a:/b:x", "image"], "the option 'x' is not supported"),
        (["run", "--mount", "type=volume,target=/a", "image"], "type=volume is not supported"),
        (["run", "--mount", "type=bind,source=/no/such,target=/a", "image"], "there is no /no/such"),
        (["run", "--mount", "type=tmpfs,target=a", "image"], "the target must be an absolute path"),
        (["run", "-p", "80:80", "image"], "-p is not supported (the host's network is used"),
        (["run", "--privileged", "image"], "--privileged is not supported yet"),
        (["exec", "--privileged", "x", "true"], "--privileged is not supported yet"),
        (["exec", "-d", "-t", "x", "true"], "-d has no streams"),
        (["exec", "x"], "Missing argument 'COMMAND...'"),
        (["run", "--env-file", "/no/such", "image"], "--env-file /no/such: No such file or directory"),
        (["ps", "--filter", "status=bogus"], "--filter status=bogus: there is no such status"),
        (["ps", "--filter", "exited=x"], "--filter exited=x: not an exit status"),
        (["ps", "--filter", "name=("], "--filter name=(: not a regular expression"),
        (["ps", "--filter", "size=1"], "--filter size=1: not supported"),
        (["logs", "--tail", "few", "x"], "--tail few: neither a number nor all"),
        (["kill", "-s", "STOP", "x"], "signal STOP: not supported"),
        (["--root"], "Option '--root' requires an argument."),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(tmp_path: Path, words: list[str], message: str) -> None:
    result = ocibuild(tmp_path, *words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "missing"], "the build context 'missing' does not exist"),
        (["build", "-f", "missing", "context"], "missing: no such Dockerfile (--file names another)"),
        (["build", "-t", "UPPER", "context"], "UPPER"),
        (["build", "--platform", "a/b/c/d", "context"], "a/b/c/d"),
        (["inspect", "missing"], "missing"),
        (["history", "missing"], "missing"),
        (["tag", "missing", "other"], "missing"),
        (["push", "missing"], "missing"),
        (["validate", "missing"], "missing: neither a file or folder nor an image in the store"),
        (["--root", "context/file", "images"], "context/file: "),
        (["--config", "missing", "images"], "missing: no such configuration file"),
    ],
)
def test_a_failure_is_one_line_and_status_1(tmp_path: Path, context: Path, words: list[str], message: str) -> None:
    result = ocibuild(tmp_path, *words)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 1
    assert lines[0].startswith("ocibuild: ")
    assert message in lines[0]


def test_a_dockerfile_error_shows_its_lines(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("# one\nFROM scratch\n\nCOPPY file \\\n  /\nLABEL a=b\n\nLABEL c=d\n")
    result = ocibuild(tmp_path, "build", "-q", "context")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "ocibuild: context/Dockerfile:4: unknown instruction COPPY (did you mean COPY?)",
        "     2 |     FROM scratch",
        "     3 |",
        "     4 | >>> COPPY file \\",
        "     5 | >>>   /",
        "     6 |     LABEL a=b",
        "     7 |",
    ]


def test_the_lines_of_an_error_show_no_password(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY http://me:secret@host/f /\nADD http://me:secret@host/f /\n")
    result = ocibuild(tmp_path, "build", "context")
    assert result.returncode == 1
    assert result.stderr.count("http://…@host/f") == 3
    assert "secret" not in result.stderr


def test_all_syntax_errors_of_a_dockerfile_are_shown(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPPY file /\nLABEL a=b\nENV\n")
    result = ocibuild(tmp_path, "build", "-q", "context")
    assert result.returncode == 1
    places = [line for line in result.stderr.splitlines() if line.startswith("ocibuild: ")]
    assert places == [
        "ocibuild: context/Dockerfile:2: unknown instruction COPPY (did you mean COPY?)",
        "ocibuild: context/Dockerfile:4: ENV requires at least one argument",
    ]
    assert result.stderr.splitlines().count("     2 | >>> COPPY file /") == 1


def test_a_step_that_fails_shows_its_lines_too(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\nLABEL a=b\n")
    result = ocibuild(tmp_path, "build", "-q", "context")
    assert result.returncode == 1
    assert "     1 |     FROM scratch\n     2 | >>> COPY nothing /\n     3 |     LABEL a=b\n" in result.stderr


def test_no_more_of_a_long_instruction_is_shown_than_helps(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nRUN <<EOF\n" + "x\n" * 50 + "y" * 1000 + "\n")
    result = ocibuild(tmp_path, "build", "-q", "context")
    lines = result.stderr.splitlines()
    assert "Dockerfile:2: the heredoc <<EOF is not terminated" in lines[0]
    assert lines[-1] == "       | >>> (and 40 more lines)"
    assert len(lines) == 15


def test_control_characters_of_a_stranger_do_not_reach_the_terminal(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY \x1b[31mred /\n")
    assert "\x1b" not in ocibuild(tmp_path, "build", "-q", "context").stderr


def test_a_traceback_comes_with_debug_alone(tmp_path: Path) -> None:
    assert "Traceback" not in ocibuild(tmp_path, "build", "missing").stderr
    assert "Traceback" in ocibuild(tmp_path, "--debug", "build", "missing").stderr
    assert "Traceback" in ocibuild(tmp_path, "build", "missing", environ={"OCIBUILD_DEBUG": "1"}).stderr


def test_quiet_prints_the_image_id_alone(tmp_path: Path, context: Path) -> None:
    result = ocibuild(tmp_path, "build", "-q", "-t", "made", "--iidfile", "id", "--metadata-file", "meta", "context")
    assert (result.returncode, result.stderr) == (0, "")
    image = result.stdout.strip()
    assert image.startswith("sha256:")
    assert (tmp_path / "id").read_text() == image
    metadata = json.loads((tmp_path / "meta").read_text())
    assert metadata["containerimage.config.digest"] == image
    assert metadata["image.name"] == "docker.io/library/made:latest"
    shown = json.loads(ocibuild(tmp_path, "inspect", "made").stdout)
    assert shown[0]["Id"] == image
    assert shown[0]["RepoTags"] == ["made:latest"]
    assert ocibuild(tmp_path, "images", "-q", "--no-trunc").stdout.strip() == image
    assert ocibuild(tmp_path, "history", "-q", "made").stdout.split() == [image[7:19]]


def test_results_go_to_stdout_and_progress_to_stderr(tmp_path: Path, context: Path) -> None:
    result = ocibuild(tmp_path, "build", "--progress", "plain", "context")
    assert result.stdout.startswith("sha256:")
    assert result.stdout.count("\n") == 1
    assert "COPY file /" in result.stderr


def test_an_archive_on_stdout_is_alone_there(tmp_path: Path, context: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ocibuild", "--root", tmp_path / "s", "build", "-o", "type=oci,dest=-", context],
        cwd=_CHECKOUT,
        capture_output=True,
        check=True,
    )
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        assert "oci-layout" in archive.getnames()


def test_a_dockerfile_may_come_on_standard_input(tmp_path: Path, context: Path) -> None:
    given = ocibuild(tmp_path, "build", "-q", "-f", "-", "context", stdin="FROM scratch\nCOPY file /other\n")
    assert given.returncode == 0, given.stderr
    failed = ocibuild(tmp_path, "build", "-q", "-f", "-", "context", stdin="FROM scratch\nCOPY nothing /other\n")
    assert failed.stderr.startswith("ocibuild: Dockerfile:2: ")
    (tmp_path / "-.dockerignore").write_text("file\n")  # is not that of standard input
    assert ocibuild(tmp_path, "build", "-q", "-f", "-", "context", stdin="FROM scratch\nCOPY file /a\n").returncode == 0


def test_a_dockerfile_beyond_reason_is_refused_and_not_cut(tmp_path: Path, context: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.write(b"FROM scratch\n")
        file.truncate((16 << 20) + 1)
    result = ocibuild(tmp_path, "build", "-q", "-f", "large", "context")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["ocibuild: large: more than 16 MiB is no Dockerfile"]


def test_global_flags_come_from_the_environment_too(tmp_path: Path, context: Path) -> None:
    environ = {"OCIBUILD_ROOT": str(tmp_path / "elsewhere")}
    assert ocibuild(tmp_path, "build", "-q", "context", environ=environ).returncode == 0
    assert (tmp_path / "elsewhere/oci-layout").exists()
    usual = ocibuild(tmp_path, "build", "-q", "context", environ={"XDG_DATA_HOME": str(tmp_path / "data")})
    assert usual.returncode == 0
    assert (tmp_path / "data/ocibuild/oci-layout").exists()
    assert not (tmp_path / ".local").exists()


def test_a_user_without_a_home_is_asked_for_a_store(tmp_path: Path, context: Path) -> None:
    # /etc/passwd does not know the user, as in many a CI job's container
    program = "import pwd; pwd.getpwuid = {}.__getitem__; from ocibuild.cli import main; main()"

    def without_home(*words: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_CHECKOUT)}
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    refused = without_home("images")
    assert (refused.returncode, refused.stderr) == (
        2,
        "ocibuild: no store: HOME is not set and the user has no home (choose a store with --root)\n",
    )
    assert without_home("version").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [context.name]


def test_version_and_help_need_no_store(tmp_path: Path) -> None:
    from ocibuild import __version__

    assert ocibuild(tmp_path, "version").stdout == f"ocibuild {__version__}\n"
    shown = ocibuild(tmp_path, "--help")
    assert shown.returncode == 0
    assert "Build an image from a Dockerfile." in shown.stdout
    assert not (tmp_path / ".local").exists()


def test_the_status_of_a_run_is_in_the_message(tmp_path: Path, context: Path) -> None:
    (context / "busybox").write_bytes(Path(require_peer("busybox")).read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /\nRUN ["/busybox", "sh", "-c", "echo last words; exit 42"]\n'
    )
    result = ocibuild(tmp_path, "build", "-q", "context")
    assert result.returncode == 1
    assert "exit code: 42" in result.stderr
    assert "  | last words\n" in result.stderr
    assert "ocibuild: context/Dockerfile:3: " in result.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_stopped_says_so_and_cleans_up(
    tmp_path: Path, context: Path, number: signal.Signals, status: int
) -> None:
    (context / "busybox").write_bytes(Path(require_peer("busybox")).read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /\nRUN ["/busybox", "sh", "-c", "echo begun; sleep 60"]\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "ocibuild", "--root", tmp_path / "s", "build", "--progress", "plain", context],
        cwd=_CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while (line := process.stderr.readline()) and "begun" not in line:
            pass
        begun = time.monotonic()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(20) == status
    assert time.monotonic() - begun < 20
    assert "Traceback" not in rest
    assert len(list((tmp_path / "s/snapshots").iterdir())) == 1  # the COPY that was done
