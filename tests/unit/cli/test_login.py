"""``login`` and ``logout`` as a user types them, on a terminal and in a pipe; and no secret where others can see it."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from demo.registry import Service, serve
from tests.support.authority import Authority
from tests.support.credential_helper import add_helper, add_store
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SECRET = "hush-4711"
WRONG = "psst-0815"


@dataclass
class User:
    """Somebody with a home and a registry, of which ``SECRET`` is the password of ``anna``."""

    home: Path
    service: Service

    @property
    def host(self) -> str:
        return self.service.address

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.home}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ocibuild", *words],
            input=stdin,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def login(self, *words: str, password: str = SECRET) -> subprocess.CompletedProcess[str]:
        return self.run(*words, "login", "-u", "anna", "--password-stdin", self.host, stdin=f"{password}\n")

    def write(self, document: Any) -> None:
        (self.home / ".docker").mkdir(exist_ok=True)
        (self.home / ".docker/config.json").write_text(json.dumps(document))

    def read(self) -> Any:
        return json.loads((self.home / ".docker/config.json").read_text())

    def on_terminal(self, *words: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
        """Run with a terminal, type each answer after its question; return the status and all that was shown."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(sys.executable, [sys.executable, "-m", "ocibuild", *words], self.environ)
        shown = ""
        for question, answer in typed:
            while question not in shown:
                shown += os.read(fd, 1024).decode()
            if "Password" in question:
                wait_until(lambda: not termios.tcgetattr(fd)[3] & termios.ECHO)
            os.write(fd, answer.encode())
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(fd, 1024):
                shown += piece.decode()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        return status, shown


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with serve(Service(login=("anna", SECRET))) as service:
        yield User(tmp_path, service)


def test_a_password_on_standard_input_is_kept_and_forgotten(user: User) -> None:
    done = user.login()
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    encoded = base64.b64encode(f"anna:{SECRET}".encode()).decode()
    assert user.read() == {"auths": {user.host: {"auth": encoded}}}
    done = user.run("logout", user.host)
    assert (done.returncode, done.stdout) == (0, f"Removing login credentials for {user.host}\n")
    assert user.read() == {"auths": {}}
    done = user.run("logout", user.host)
    assert (done.returncode, done.stdout) == (0, f"Not logged in to {user.host}\n")


def test_a_login_is_what_pull_uses(user: User) -> None:
    before = user.run("pull", "-q", f"{user.host}/app")
    assert f"ocibuild login {user.host}" in before.stderr
    user.login()
    after = user.run("pull", "-q", f"{user.host}/app")
    assert "not found in the registry" in after.stderr


def test_a_wrong_password_is_one_line_and_nothing_is_written(user: User) -> None:
    done = user.login(password=WRONG)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ocibuild: {user.host}: the registry refuses the user name or the password")
    assert done.stderr.count("\n") == 1
    assert not (user.home / ".docker").exists()


def test_a_wrong_password_leaves_the_right_one(user: User) -> None:
    user.login()
    before = user.read()
    assert user.login(password=WRONG).returncode == 1
    assert user.read() == before


def test_a_password_in_the_arguments_is_taken_with_a_warning(user: User) -> None:
    done = user.run("login", "-u", "anna", "-p", SECRET, f"http://{user.host}/v2/")
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert "WARNING! Using --password via the CLI is insecure. Use --password-stdin." in done.stderr
    assert list(user.read()["auths"]) == [user.host]


def test_docker_hub_is_where_nothing_is_named(user: User) -> None:
    user.write({"auths": {"https://index.docker.io/v1/": {"auth": "eDp5"}}})
    assert user.run("logout").stdout == "Removing login credentials for https://index.docker.io/v1/\n"
    assert user.read() == {"auths": {}}


def test_who_is_logged_in_is_not_asked(user: User) -> None:
    user.login()
    done = user.run("login", user.host)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert "Authenticating with existing credentials" in done.stderr


def test_a_terminal_is_asked_and_shows_no_password(user: User) -> None:
    typed = [("Username: ", "anna\n"), ("Password: ", f"{SECRET}\n")]
    status, shown = user.on_terminal("login", user.host, typed=typed)
    assert status == 0, shown
    assert "Login Succeeded" in shown
    assert SECRET not in shown
    assert user.host in user.read()["auths"]


def test_control_c_at_the_password_ends_it(user: User) -> None:
    status, shown = user.on_terminal("login", "-u", "anna", user.host, typed=[("Password: ", "\x03")])
    assert status == 130
    assert "ocibuild: interrupted" in shown
    assert not (user.home / ".docker").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-u", "anna"], "standard input is no terminal"),
        ([], "standard input is no terminal"),
        (["--password-stdin"], "--password-stdin needs --username"),
        (["-u", "a", "-p", "b", "--password-stdin"], "--password and --password-stdin are mutually exclusive"),
        (["-u", "anna", "--password-stdin"], "may not be empty"),
    ],
)
def test_wrong_usage(user: User, words: list[str], message: str) -> None:
    done = user.run("login", *words, user.host)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert user.service.seen == []


@pytest.mark.parametrize("host", ["", "a b", "https://", "x:port", "a?b", f"anna:{SECRET}@r.example", "\x1b[1m"])
def test_what_is_no_host_is_refused(user: User, host: str) -> None:
    for words in (["login", "-u", "anna", "--password-stdin"], ["logout"]):
        done = user.run(*words, "--", host, stdin="x")
        assert (done.returncode, done.stdout) == (2, "")
        assert "is not the name of a registry" in done.stderr
        assert SECRET not in done.stderr


def test_the_helper_of_the_file_keeps_it(user: User) -> None:
    add_store(user.home, "safe")
    user.write({"credsStore": "safe", "psFormat": "x"})
    done = user.login()
    assert (done.returncode, done.stdout, done.stderr) == (0, "Login Succeeded\n", "")
    assert user.read() == {"credsStore": "safe", "psFormat": "x", "auths": {user.host: {}}}
    assert "not found in the registry" in user.run("pull", "-q", f"{user.host}/app").stderr
    assert b"--password-stdin" in (user.home / "cmdlines").read_bytes()
    assert SECRET.encode() not in (user.home / "cmdlines").read_bytes() + (user.home / "environs").read_bytes()
    assert user.run("logout", user.host).stdout == f"Removing login credentials for {user.host}\n"
    assert user.read() == {"credsStore": "safe", "psFormat": "x", "auths": {}}
    assert json.loads((user.home / "safe.json").read_text()) == {}


def faults(user: User) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Yield what is printed where something goes wrong, with and without --debug."""
    yield [user.run("--debug", "login", "-u", "anna", "-p", SECRET, "127.0.0.1:1")]
    for debug in ([], ["--debug"]):
        for password in (SECRET, WRONG):
            yield [user.login(*debug, password=password)]
            yield [user.run(*debug, "login", "-u", "anna", "-p", password, user.host)]
        for script in ("cat; exit 1", "cat", "cat >&2; exit 2"):
            add_helper(user.home, "broken", script)
            user.write({"credsStore": "broken"})
            yield [user.login(*debug), user.run(*debug, "logout", user.host)]
        user.write({"auths": {user.host: {"auth": SECRET}}})
        yield [user.run(*debug, "pull", f"{user.host}/app"), user.run(*debug, "login", user.host)]
        (user.home / ".docker/config.json").write_text(f'{{"auths": {{"{user.host}": "{SECRET}"')
        yield [user.login(*debug), user.run(*debug, "logout", user.host), user.run(*debug, "pull", f"{user.host}/app")]
        user.write({"auths": {user.host: {"identitytoken": SECRET}}})
        yield [user.run(*debug, "pull", f"{user.host}/app"), user.run(*debug, "push", f"{user.host}/app")]


def test_no_secret_is_ever_printed(user: User) -> None:
    encoded = [base64.b64encode(f"anna:{secret}".encode()).decode() for secret in (SECRET, WRONG)]
    for results in faults(user):
        for done in results:
            printed = done.stdout + done.stderr
            assert not any(secret in printed for secret in (SECRET, WRONG, *encoded)), printed


def test_the_users_folder_of_certificates_counts(user: User) -> None:
    authority = Authority.make(user.home / "ca")
    tls = authority.issue("server", "IP:127.0.0.1").server_context()
    with serve(tls=tls) as guarded:
        folder = user.home / ".config/docker/certs.d" / guarded.address
        folder.mkdir(parents=True)
        folder.joinpath("ours.crt").write_bytes(authority.own.cert.read_bytes())
        done = user.run("login", "-u", "anna", "--password-stdin", guarded.address, stdin=SECRET)
        assert done.returncode == 0, done.stderr
        folder.joinpath("client.cert").touch()
        done = user.run("pull", f"{guarded.address}/app")
        assert done.returncode == 1
        assert "client.cert: the key client.key is missing" in done.stderr
