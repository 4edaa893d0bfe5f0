"""The git program, run so that nothing on this machine and nothing in a repository tells it what to do.

Its configuration is ours alone: no file of the system's or the user's, no hooks, no prompts, no helper that we did not
name, and no way to fetch but those below. A password is in its environment, which only this user can read: never among
its arguments, nor in what it prints.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from ocibuild.errors import Interrupted, SourceError
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import IO, TypeAlias

    from ocibuild.store import Lock

    Secret: TypeAlias = Callable[[str], bytes | None]

_CONFIG = (
    "advice.detachedHead=false",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "http.lowSpeedLimit=1",  # bytes a second
    "http.lowSpeedTime=60",  # seconds
    "init.defaultBranch=master",
)
_KEPT = ("PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_ENVIRONMENT = {
    "HOME": "/dev/null",
    "LC_ALL": "C",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
# git asks it only for the host that the password is for, also after a redirect
_HELPER = (
    '!f() { test "$1" = get &&'
    ' printf "username=%s\\npassword=%s\\n" "$OCIBUILD_GIT_USER" "$OCIBUILD_GIT_PASSWORD"; }; f'
)
REMOTE: Final = "http:https:ssh:git"
"""The protocols that fetching may use, submodules included."""
LOCAL: Final = "file"
_ANSWER = 16 << 20  # bytes of an answer
_COMPLAINT = 16 << 10


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is: ``url`` is without the user and password that one for HTTP may hold.

    ``header`` is what the Authorization header shall hold instead of these.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    header: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, secret: Secret) -> Remote:
        """Return the remote that ``url`` is.

        Where it does not say who we are, the secrets of BuildKit do: GIT_AUTH_HEADER and GIT_AUTH_TOKEN, those that end
        in ``.HOST`` first. Raises SourceError for a password that another protocol would show to everybody.
        """
        parts = urlsplit(url)
        if parts.scheme in ("ssh", "git") and parts.password is not None:
            raise SourceError(
                f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}: a URL for {parts.scheme} can have no password",
                remedy="give the build an SSH agent, or use HTTPS",
            )
        if parts.scheme not in ("http", "https"):
            return cls(url)
        host = parts.netloc.rpartition("@")[2]
        bare = urlunsplit(parts._replace(netloc=host))
        if parts.username is not None:
            return cls(bare, unquote(parts.username), unquote(parts.password or ""))
        for suffix in (f".{host}", ""):
            if header := _text(secret(f"GIT_AUTH_HEADER{suffix}")):
                return cls(bare, header=header)
            if token := _text(secret(f"GIT_AUTH_TOKEN{suffix}")):
                return cls(bare, "x-access-token", token)
        return cls(bare)

    def environment(self) -> dict[str, str]:
        """Return the variables that let git answer when the server asks who we are."""
        if self.header:
            return _setting(f"http.{self.url}.extraHeader", f"Authorization: {self.header}")
        if not self.user and not self.password:
            return {}
        parts = urlsplit(self.url)
        helper = _setting(f"credential.{parts.scheme}://{parts.netloc}.helper", _HELPER)
        return {**helper, "OCIBUILD_GIT_USER": self.user, "OCIBUILD_GIT_PASSWORD": self.password}


def _setting(key: str, value: str) -> dict[str, str]:
    """Return the variables that give git one setting, out of sight of other users."""
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": value}


def _text(secret: bytes | None) -> str:
    return (secret or b"").decode("utf-8", "surrogateescape").strip()


@dataclass(frozen=True, slots=True)
class Place:
    """Where git works: ``folder`` is its working directory, ``git_dir`` and ``work_tree`` those of a repository.

    ``lock`` is held by git for as long as it lives, which may be longer than we do.
    """

    folder: str
    git_dir: str | None = None
    work_tree: str | None = None
    lock: Lock | None = None

    def at(self, git_dir: str, work_tree: str) -> Place:
        """Return the place in a work tree."""
        return replace(self, folder=work_tree, git_dir=git_dir, work_tree=work_tree)

    def environment(self) -> dict[str, str]:
        """Return the variables that tell git of it; it never looks for a repository above its folder."""
        found = {"GIT_CEILING_DIRECTORIES": os.path.dirname(self.folder)}
        if self.git_dir is not None:
            found["GIT_DIR"] = self.git_dir
        if self.work_tree is not None:
            found["GIT_WORK_TREE"] = self.work_tree
        return found


class GitProgram:
    """Runs git; safe to use from threads. ``known_hosts`` is where the keys of SSH servers are remembered.

    An agent that ``environ`` names (SSH_AUTH_SOCK) is used, and the user's own known hosts count too.
    """

    def __init__(self, environ: Mapping[str, str], known_hosts: str) -> None:
        kept = {name: environ[name] for name in (*_KEPT, *_PROXIES) if environ.get(name)}
        self._environ = {**kept, **_ENVIRONMENT, "GIT_SSH_COMMAND": _ssh(environ, known_hosts)}
        self._stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()  # guards the two above

    def run(self, place: Place, *words: str, remote: Remote | None = None, protocols: str = REMOTE) -> str:
        """Run a command of git and return what it prints.

        Raises SourceError with git's own reason where it fails, Interrupted after ``stop()``.
        """
        environ = {
            **self._environ,
            **place.environment(),
            **(remote.environment() if remote else {}),
            "GIT_ALLOW_PROTOCOL": protocols,
        }
        options = [word for setting in _CONFIG for word in ("-c", setting)]
        with self._started(["git", *options, *words], environ, place) as process:
            answer, complaint = _communicate(process)
        if self._stopped:
            raise Interrupted
        if process.returncode:
            raise _failure(complaint, remote)
        return answer.decode("utf-8", "surrogateescape")

    def stop(self) -> None:
        """End what runs, with all that it has started; nothing is run any more. Safe to repeat."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    @contextmanager
    def _started(self, words: list[str], environ: dict[str, str], place: Place) -> Iterator[subprocess.Popen[bytes]]:
        process = self._start(words, environ, place)
        try:
            with process:
                try:
                    yield process
                except BaseException:
                    _kill(process)
                    raise
        finally:
            with self._lock:
                self._running.discard(process)

    def _start(self, words: list[str], environ: dict[str, str], place: Place) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise Interrupted
            try:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environ,
                    cwd=place.folder,
                    pass_fds=[place.lock.fileno()] if place.lock else (),
                    process_group=0,
                    umask=0o022,
                )
            except FileNotFoundError as error:
                if error.filename == place.folder:
                    raise
                raise SourceError("the program git is not on this machine", remedy="install the package git") from error
            self._running.add(process)
            return process


def _ssh(environ: Mapping[str, str], known_hosts: str) -> str:
    """Return the command for SSH: no configuration, no questions; a server's key is believed the first time."""
    files = [known_hosts, *([os.path.join(environ["HOME"], ".ssh/known_hosts")] if environ.get("HOME") else [])]
    quoted = " ".join(f'"{file}"' for file in files)
    options = ("BatchMode=yes", "StrictHostKeyChecking=accept-new", f"UserKnownHostsFile={quoted}")
    return shlex.join(["ssh", "-F", "/dev/null", *(word for option in options for word in ("-o", option))])


def _communicate(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Return what a process prints, and the end of its complaints; raise SourceError where it prints too much."""
    assert process.stdout is not None
    assert process.stderr is not None
    complaint = _Tail(process.stderr)
    complaint.start()
    answer = process.stdout.read(_ANSWER + 1)
    if len(answer) > _ANSWER:
        _kill(process)
    complaint.join()
    if len(answer) > _ANSWER:
        raise SourceError(f"git answers with more than {_ANSWER >> 20} MiB")
    return answer, complaint.text


class _Tail(threading.Thread):
    """Reads a stream to its end and keeps the last of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(name="git-stderr")
        self._stream = stream
        self.text = b""

    def run(self) -> None:
        while piece := os.read(self._stream.fileno(), _COMPLAINT):
            self.text = (self.text + piece)[-_COMPLAINT:]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _failure(complaint: bytes, remote: Remote | None) -> SourceError:
    """Return the error that git's complaint is, in one line."""
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
    # of a connection that fails, git knows only that it did
    told = next(
        (line for names in (("ssh: ",), ("fatal: ", "error: ")) for line in lines if line.startswith(names)),
        lines[-1] if lines else "",
    )
    reason = "".join(character if character.isprintable() else " " for character in told.partition(": ")[2] or told)
    where = f"{remote.url}: " if remote else ""
    if remote and remote.password:
        reason = reason.replace(remote.password, "…")
    return SourceError(f"{where}git failed: {reason[:300]}", remedy=_remedy("\n".join(lines)))


def _remedy(complaint: str) -> str | None:
    if "cannot run ssh" in complaint or "ssh: not found" in complaint:
        return "install the package openssh-client"
    if "could not read Username" in complaint or "Authentication failed" in complaint:
        return "the repository does not exist, or wants a user and a password in the URL"
    if "Permission denied (publickey" in complaint:
        return "SSH_AUTH_SOCK must name an agent with a key that the server knows"
    return None
