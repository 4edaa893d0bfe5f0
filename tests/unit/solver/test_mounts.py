"""What a RUN sees for its own time only, as root, as a user with a range of IDs, and as one with a single ID."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import pytest

from ocibuild.errors import OcibuildError
from ocibuild.graph import (
    BindMount,
    CacheMount,
    Inline,
    Network,
    Output,
    Run,
    Scratch,
    SecretMount,
    Security,
    Sharing,
    SSHMount,
    TmpfsMount,
    Vertex,
)
from ocibuild.solver.operations.run import run
from ocibuild.solver.workshop import Workshop, nothing_given
from tests.support.lab import LONELY, Lab, in_lab, needs_busybox, needs_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocibuild.graph import Event, Mount
    from ocibuild.solver.workshop import Agents, Secrets
    from ocibuild.store import Snapshot

pytestmark = [needs_root, needs_busybox]
users = pytest.mark.parametrize("uid", [None, LONELY], ids=["root", "one-id"])
Result = TypeVar("Result")
BASE = Scratch()
OTHER = Inline(())
SECRET = b"tops3cret\xff\n"


@dataclass
class Steps:
    """RUNs on a base: ``left`` is what the last one left, a line a file."""

    lab: Lab
    stacks: dict[Vertex, list[Snapshot]]
    secrets: Secrets = nothing_given
    agents: Agents = nothing_given
    left: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *mounts: Mount, **settings: object) -> str:
        """Run a script and return what it wrote, or the error."""
        events: list[Event] = []
        settings = {"env": ("PATH=/bin",), **settings}
        made = Run(BASE, ("/bin/sh", "-c", script), mounts=mounts, **settings)  # type: ignore[arg-type]
        shop = self._shop(events.append)
        with self.lab.store.snapshots.begin() as active:
            try:
                run(shop, made, self.stacks[BASE], active, 1, self.stacks.__getitem__)
            except OcibuildError as error:
                return f"{_text(events)}{type(error).__name__}: {error.message}"
            self.left = _listed(Path(active.upper))
        return _text(events)

    def _shop(self, emit: Callable[[Event], None]) -> Workshop:
        return Workshop(
            store=self.lab.store,
            contexts={},
            emit=emit,
            identify=_unused,
            snapshotter=self.lab.snapshotter,
            executor=self.lab.executor,
            ownership=self.lab.ownership,
            origin_of=_unused,
            bring=_unused,
            stop=_unused,
            secrets=self.secrets,
            agents=self.agents,
        )


def _unused(*_: object) -> NoReturn:
    raise AssertionError("not for this")


def _text(events: list[Event]) -> str:
    return b"".join(event.text for event in events if isinstance(event, Output)).decode("utf-8", "replace")


def _listed(folder: Path) -> dict[str, str]:
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in found}


def fill_base(folder: Path) -> None:
    """The images' own traps are here too: links that lead into /proc, nowhere, and out."""
    for name in ("private", "real", "etc"):
        (folder / name).mkdir()
    (folder / "private").chmod(0o700)
    (folder / "file").write_text("of the image\n")
    (folder / "link").symlink_to("/real")
    (folder / "dangling").symlink_to("/nowhere/deep")
    (folder / "out").symlink_to("../../../../real")
    for name, target in (("to-proc", "/proc/self"), ("to-sys", "/proc/sys/kernel"), ("to-root", "/"), ("loop", "loop")):
        (folder / name).symlink_to(target)


def fill_other(folder: Path) -> None:
    (folder / "dir/sub").mkdir(parents=True)
    (folder / "dir/file").write_text("of the other\n")
    (folder / "dir/sub/file").write_text("below\n")
    (folder / "dir").chmod(0o750)
    (folder / "escape").symlink_to("/../../../../../../etc")
    (folder / "inside").symlink_to("/dir/sub")
    (folder / "up").symlink_to("dir/../../../../../dir/file")


def steps(
    tmp_path: Path, work: Callable[[Steps], Result], *, uid: int | None = None, **lent: Callable[[str], object]
) -> Result:
    """Do ``work`` with steps in a child."""

    def inside(lab: Lab) -> Result:
        stacks: dict[Vertex, list[Snapshot]] = {
            BASE: [*lab.base, lab.snapshot(fill_base)],
            OTHER: [lab.snapshot(fill_other)],
        }
        return work(Steps(lab, stacks, **lent))  # type: ignore[arg-type]

    return in_lab(tmp_path, inside, uid=uid)


def bind(target: str, path: str = "/", *, read_only: bool = True) -> BindMount:
    return BindMount(target, OTHER, path, read_only)


SEEN: dict[str, tuple[str, list[Mount], str]] = {
    "a tree": ("ls /m; cat /m/dir/file", [bind("/m")], "dir\nescape\ninside\nup\nof the other\n"),
    "a directory of it": ("find /m | sort", [bind("/m", "/dir")], "/m\n/m/file\n/m/sub\n/m/sub/file\n"),
    "a file of it": ("cat /m", [bind("/m", "/dir/file")], "of the other\n"),
    "over a file": ("cat /file", [bind("/file", "/dir/file")], "of the other\n"),
    "over a directory": ("ls /real", [bind("/real", "/dir")], "file\nsub\n"),
    "through a link of the source": ("cat /m/file", [bind("/m", "/inside")], "below\n"),
    "through a link that climbs": ("cat /m", [bind("/m", "/up")], "of the other\n"),
    "a path that climbs": ("cat /m", [bind("/m", "/../../dir/./file")], "of the other\n"),
    "through a link of the image": ("ls /real; readlink /link", [bind("/link", "/dir")], "file\nsub\n/real\n"),
    "through a link out of the image": ("ls /real", [bind("/out", "/dir")], "file\nsub\n"),
    "through a dangling link": ("ls /nowhere/deep", [bind("/dangling", "/dir")], "file\nsub\n"),
    "below a link": ("cat /real/a/file", [bind("/link/a", "/dir")], "of the other\n"),
    "in another": ("ls /m /m/sub", [bind("/m", "/dir"), TmpfsMount("/m/sub")], "/m:\nfile\nsub\n\n/m/sub:\n"),
    "in one that comes later": ("ls /m", [bind("/m/x", "/dir/file"), TmpfsMount("/m")], "x\n"),
    "the last of two": ("ls /m", [TmpfsMount("/m"), bind("/m", "/dir")], "file\nsub\n"),
    "the last of two, written twice": ("ls /m", [bind("/m/", "/dir"), TmpfsMount("/m")], ""),
    "written to": (
        "echo new > /m/dir/file; rm -r /m/dir/sub; cat /m/dir/file; ls /m/dir",
        [bind("/m", read_only=False)],
        "new\nfile\n",
    ),
    "twice, one of them written to": (
        "echo new > /b/file; cat /a/file /b/file",
        [bind("/a", "/dir"), bind("/b", "/dir", read_only=False)],
        "of the other\nnew\n",
    ),
    "memory": ("ls /m; df -k /m | tail -n 1 | grep -o 1024 | head -n 1", [TmpfsMount("/m", 1 << 20)], "1024\n"),
    "memory over a directory": ("stat -c %a /private", [TmpfsMount("/private")], "700\n"),
    "memory in a new place": ("stat -c %a /new/deep /new", [TmpfsMount("/new/deep")], "1777\n755\n"),
    "a program in memory": ("cp /bin/busybox /m/echo; /m/echo ran", [TmpfsMount("/m")], "ran\n"),
    "in the devices": ("cat /dev/pipes/file", [bind("/dev/pipes", "/dir")], "of the other\n"),
}


@users
@pytest.mark.parametrize(("script", "mounts", "expected"), SEEN.values(), ids=SEEN)
def test_mount_is_seen(script: str, mounts: list[Mount], expected: str, uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> tuple[str, dict[str, str]]:
        return made.run(script, *mounts), made.left

    said, left = steps(tmp_path, work, uid=uid)
    assert said == expected
    assert left in ({}, {"real": ""})  # a place was made in it, so its time is another


REFUSED: dict[str, tuple[Mount, str]] = {
    "no such path": (bind("/m", "/none"), "mount at /m: its source has no /none"),
    "below a file": (bind("/m", "/dir/file/x"), "mount at /m: its source has no /dir/file/x"),
    "out of the source": (bind("/m", "/escape"), "mount at /m: its source has no /escape"),
    "process": (TmpfsMount("/proc"), "mount at /proc: nothing can be mounted at /proc"),
    "process, below": (TmpfsMount("/proc/sys/x"), "mount at /proc/sys/x: nothing can be mounted at /proc/sys/x"),
    "link to process": (bind("/to-sys", "/dir"), "mount at /to-sys: nothing can be mounted at /proc/sys/kernel"),
    "link to itself in process": (bind("/to-proc", "/dir"), "mount at /to-proc: nothing can be mounted at /proc/1"),
    "the root": (bind("/to-root", "/dir"), "mount at /to-root: nothing can be mounted at /"),
    "the root by name": (TmpfsMount("/"), "mount at /: nothing can be mounted at /"),
    "below a file of the image": (bind("/file/x", "/dir"), "mount at /file/x: /file/x: Not a directory"),
    "a directory on a file": (bind("/file", "/dir"), "mount at /file: the image has no directory there"),
    "a file on a directory": (bind("/real", "/dir/file"), "mount at /real: the image has a directory there"),
    "below a loop": (TmpfsMount("/loop/x"), "mount at /loop/x: /loop/x: Too many levels of symbolic links"),
    "the kernel's own": (TmpfsMount("/sys/none"), "mount at /sys/none: /sys/none: "),
}


@pytest.mark.parametrize(("mount", "message"), REFUSED.values(), ids=REFUSED)
def test_mount_is_refused(mount: Mount, message: str, tmp_path: Path) -> None:
    def work(made: Steps) -> tuple[str, str]:
        return made.run("echo ran", mount), made.run("echo still")

    said, after = steps(tmp_path, work)
    assert said.partition(": ")[2].startswith(message)
    assert after == "still\n"


def test_place_in_a_read_only_tree_cannot_be_made(tmp_path: Path) -> None:
    said = steps(tmp_path, lambda made: made.run("ls", bind("/m"), TmpfsMount("/m/new")))
    assert said == "CannotStart: mount at /m/new: /m/new: Read-only file system"


@users
def test_read_only_mounts_are_not_written_to(uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> str:
        mounts: list[Mount] = [
            bind("/a", "/dir"),
            TmpfsMount("/b", read_only=True),
            CacheMount("/c", "c", read_only=True),
        ]
        return made.run("for d in a b c; do echo > /$d/new || echo no; rm -rf /$d/file; done; cat /a/file", *mounts)

    said = steps(tmp_path, work, uid=uid)
    assert said.count("Read-only file system") == 4
    assert "of the other\n" in said


def test_what_is_put_beside_a_place_stays_and_the_rest_goes(tmp_path: Path) -> None:
    def work(made: Steps) -> dict[str, str]:
        made.run("touch /new/deep/kept", TmpfsMount("/new/deep/down"), TmpfsMount("/gone/down"), TmpfsMount("/real/x"))
        return made.left

    assert steps(tmp_path, work) == {"new": "", "new/deep": "", "new/deep/kept": "", "real": ""}


def test_directory_of_a_place_keeps_the_time_that_the_step_gave_it(tmp_path: Path) -> None:
    def work(made: Steps) -> float:
        mount = TmpfsMount("/real/place")
        run_ = Run(BASE, ("/bin/sh", "-c", "touch -d @1200000000 /real"), ("PATH=/bin",), mounts=(mount,))
        with made.lab.store.snapshots.begin() as active:
            run(made._shop(lambda _: None), run_, made.stacks[BASE], active, 1, made.stacks.__getitem__)
            return (Path(active.upper) / "real").stat().st_mtime

    assert steps(tmp_path, work) == 1_200_000_000


# -- caches


@users
def test_cache_is_kept_and_in_no_layer(uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        mount = CacheMount("/var/cache/x", "x", mode=0o750)
        said = [made.run("stat -c %a:%u:%g /var/cache/x; echo 1 > /var/cache/x/f", mount), str(made.left)]
        other = CacheMount("/elsewhere", "x", mode=0o750)
        return [*said, made.run("cat /elsewhere/f; ls /var/cache 2>/dev/null", other)[:2]]

    assert steps(tmp_path, work, uid=uid) == ["750:0:0\n", "{}", "1\n"]


def test_cache_of_another_owner(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        first = made.run("stat -c %a:%u:%g /c; touch /c/f", CacheMount("/c", "x", mode=0o700, uid=1000, gid=1001))
        return [first, made.run("ls /c", CacheMount("/c", "x", uid=5)), made.run("ls /c", CacheMount("/c", "y"))]

    assert steps(tmp_path, work) == ["700:1000:1001\n", "", ""]


@users
def test_cache_begins_with_what_its_source_has(uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        def mount(target: str) -> CacheMount:
            return CacheMount(target, "x", source=OTHER, path="/dir")

        first = made.run("stat -c %a /a; find /a | sort; cat /a/sub/file; echo more > /a/more; rm /a/file", mount("/a"))
        second = made.run("find /b", mount("/b"))
        third = made.run("cat /c; echo changed > /c", CacheMount("/c", "x", source=OTHER, path="/dir/file"))
        return [first, second, third, made.run("cat /m/dir/file", bind("/m"))]

    first, second, third, other = steps(tmp_path, work, uid=uid)
    assert first == "750\n/a\n/a/file\n/a/sub\n/a/sub/file\nbelow\n"
    assert sorted(second.split()) == ["/b", "/b/more", "/b/sub", "/b/sub/file"]
    assert third == other == "of the other\n"


def test_place_in_a_cache_stays_in_the_cache(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        cache = CacheMount("/c", "x")
        made.run("true", cache, TmpfsMount("/c/place"))
        return [str(made.left), made.run("ls /c", cache)]

    assert steps(tmp_path, work) == ["{}", "place\n"]


def test_one_cache_twice_in_a_step_is_one(tmp_path: Path) -> None:
    def work(made: Steps) -> str:
        mounts = [CacheMount(target, "x", Sharing.LOCKED) for target in ("/a", "/b")]
        return made.run("echo text > /a/f; cat /b/f", *mounts)

    assert steps(tmp_path, work) == "text\n"


SHARED = {Sharing.SHARED: ("1", "2"), Sharing.PRIVATE: ("1", "1"), Sharing.LOCKED: ("1", "2")}


@pytest.mark.parametrize(("sharing", "expected"), SHARED.items(), ids=map(str, SHARED))
def test_two_steps_with_a_cache_at_once(sharing: Sharing, expected: tuple[str, str], tmp_path: Path) -> None:
    """Each adds a line and counts them; the first begins earlier and ends later than the second would without it."""

    def work(made: Steps) -> tuple[str, str, str]:
        cache = CacheMount("/c", "x", sharing)
        said: list[str] = ["", ""]

        def first() -> None:
            said[0] = made.run("echo >> /c/f; wc -l < /c/f; sleep 1; touch /c/ended", cache)

        thread = threading.Thread(target=first)
        thread.start()
        time.sleep(0.4)
        said[1] = made.run("echo >> /c/f; wc -l < /c/f; test -e /c/ended && echo ended", cache)
        thread.join()
        return said[0].split()[0], said[1].split()[0], "waited" if "ended" in said[1].split() else ""

    said = steps(tmp_path, work)
    assert said == (*expected, "waited" if sharing is Sharing.LOCKED else "")


def test_step_that_waits_for_a_cache_can_be_stopped(tmp_path: Path) -> None:
    def work(made: Steps) -> str:
        cache = CacheMount("/c", "x", Sharing.LOCKED)
        holder = threading.Thread(target=made.run, args=("sleep 2", cache))
        holder.start()
        time.sleep(0.3)
        threading.Timer(0.2, made.lab.store.locks.stop).start()
        begun = time.monotonic()
        said = made.run("true", cache)
        assert time.monotonic() - begun < 1
        made.lab.executor.stop()
        holder.join()
        return said

    assert steps(tmp_path, work) == "Interrupted: interrupted"


def test_device_in_a_cache_cannot_be_used(tmp_path: Path) -> None:
    said = steps(tmp_path, lambda made: made.run("mknod /c/zero c 1 5; head -c 1 /c/zero", CacheMount("/c", "x")))
    assert "Permission denied" in str(said)


# -- secrets


def _one_secret(name: str) -> bytes | None:
    return {"s": SECRET, "empty": b"", "nul": b"a\0b"}.get(name)


@users
def test_secret_is_a_file_that_only_its_owner_reads(uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        mount = SecretMount("s", "/run/secrets/s")
        script = "cat /run/secrets/s; stat -c %a:%u:%g /run/secrets/s; echo x > /run/secrets/s"
        said = made.run(script, mount)
        store = Path(made.lab.store.root)
        held = [str(path) for path in store.rglob("*") if path.is_file() and SECRET.strip() in path.read_bytes()]
        return [said, str(made.left), *held]

    said, *others = steps(tmp_path, work, uid=uid, secrets=_one_secret)
    assert said.startswith("tops3cret\ufffd\n400:0:0\n")
    assert "Read-only file system" in said
    assert others == ["{}"]


def test_secret_of_a_user_is_not_read_by_another(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        mount = SecretMount("s", "/s", mode=0o440, uid=1000, gid=7)
        return [made.run("stat -c %a:%u:%g /s; cat /s", mount, user=user) for user in ("app", "1234")]

    mine, foreign = steps(tmp_path, work, secrets=_one_secret)
    assert mine == "440:1000:7\ntops3cret\ufffd\n"
    assert "Permission denied" in foreign


def test_step_finds_no_second_way_to_a_secret(tmp_path: Path) -> None:
    script = "grep ' /s ' /proc/self/mountinfo; find / -xdev -name secret; grep -c tops /proc/1/environ || true"
    said = str(steps(tmp_path, lambda made: made.run(script, SecretMount("s", "/s", mode=0o444)), secrets=_one_secret))
    mountinfo, counted, _ = said.split("\n")
    assert "ro,nosuid,nodev,noexec" in mountinfo
    assert counted == "0"


VARIABLES: dict[str, tuple[Mount, str]] = {
    "given": (SecretMount("s", None, env="S"), "S=tops3cret\ufffd\n\n"),
    "empty": (SecretMount("empty", None, env="S"), "S=\n"),
    "not given": (SecretMount("none", None, env="S"), "S=\n"),
}


@pytest.mark.parametrize(("mount", "expected"), VARIABLES.values(), ids=VARIABLES)
def test_secret_is_a_variable(mount: Mount, expected: str, tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        return [made.run('echo "S=$S"; ls /run 2>/dev/null; true', mount), made.run('echo "S=${S-unset}"')]

    assert steps(tmp_path, work, secrets=_one_secret) == [expected, "S=unset\n"]


def test_secret_that_was_not_given(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        return [
            made.run("ls /run", SecretMount("none", "/run/secrets/none")),
            made.run("ls /run", SecretMount("none", "/run/secrets/none", required=True)),
            made.run("ls /run", SecretMount("none", None, env="S", required=True)),
            made.run("ls /run", SecretMount("nul", None, env="S")),
        ]

    optional, *required, nul = steps(tmp_path, work, secrets=_one_secret)
    assert "No such file or directory" in optional
    assert required == ["SourceError: secret none: not given"] * 2
    assert nul == "SourceError: secret nul: no environment variable can hold its NUL byte"


def test_secret_through_a_link_of_the_image(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        mounts = [SecretMount("s", target) for target in ("/link/s", "/out/t", "/to-sys/s")]
        return [made.run("cat /real/s /real/t", *mounts[:2]), str(made.left), made.run("true", mounts[2])]

    seen, left, refused = steps(tmp_path, work, secrets=_one_secret)
    assert seen == "tops3cret\ufffd\n" * 2
    assert left == "{'real': ''}"
    assert refused == "CannotStart: mount at /to-sys/s: nothing can be mounted at /proc/sys/kernel/s"


def test_failure_does_not_show_a_secret(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        mounts = [SecretMount("s", "/s"), SecretMount("s", None, env="S")]
        return [
            made.run("exit 3", *mounts),
            made.run("true", *mounts, user="nobody"),
            made.run("true", *mounts, working_dir="/file"),
        ]

    for said in steps(tmp_path, work, secrets=_one_secret):
        assert said.startswith(("StepFailed", "CannotStart"))
        assert "tops" not in said


# -- confinement


def test_insecure_step_has_every_capability_and_nothing_is_hidden(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        script = "grep CapEff /proc/self/status; mount -t tmpfs none /tmp && echo mounted; ls /proc/keys > /dev/null"
        frozen = "test -w /proc/sys/kernel/domainname && echo writable; mknod /z c 1 5; head -c 1 /z | wc -c"
        return [
            made.run(script, security=Security.INSECURE),
            made.run(frozen, security=Security.INSECURE),
            made.run("grep CapEff /proc/self/status", security=Security.INSECURE, user="app"),
        ]

    with open("/proc/self/status", encoding="ascii") as file:
        ours = next(line for line in file if line.startswith("CapEff"))
    assert steps(tmp_path, work) == [f"{ours}mounted\n", "writable\n1\n", ours]


@pytest.mark.parametrize("network", list(Network))
def test_network_is_what_it_was_beside_mounts(network: Network, tmp_path: Path) -> None:
    def work(made: Steps) -> str:
        return made.run("cat /proc/net/dev | tail -n +3 | wc -l; cat /m/dir/file", bind("/m"), network=network)

    said = str(steps(tmp_path, work))
    assert said.endswith("of the other\n")
    assert said.startswith("1\n") == (network is Network.NONE)


# -- agents


def _no_agent() -> NoReturn:
    raise ConnectionRefusedError


def _default_agent(name: str) -> Callable[[], NoReturn] | None:
    return _no_agent if name == "default" else None


@users
def test_agent_is_a_socket_of_the_step(uid: int | None, tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        script = "echo $SSH_AUTH_SOCK; stat -c %a:%u:%g:%F $SSH_AUTH_SOCK; ls /run/buildkit"
        mounts = [SSHMount("default", "/run/buildkit/ssh_agent.0"), SSHMount("other", "/run/buildkit/ssh_agent.1")]
        said = made.run(script, *mounts)
        return [said, str(made.left), made.run("echo ${SSH_AUTH_SOCK-unset}; ls /run")[:6]]

    said, left, after = steps(tmp_path, work, uid=uid, agents=_default_agent)
    assert said == "/run/buildkit/ssh_agent.0\n600:0:0:socket\nssh_agent.0\n"
    assert (left, after) == ("{}", "unset\n")


def test_agent_of_another_user_in_the_image(tmp_path: Path) -> None:
    mount = SSHMount("default", "/agent", mode=0o640, uid=1000, gid=7)
    said = steps(tmp_path, lambda made: made.run("stat -c %a:%u:%g /agent", mount), agents=_default_agent)
    assert said == "640:1000:7\n"


def test_agent_that_was_not_given(tmp_path: Path) -> None:
    def work(made: Steps) -> list[str]:
        script = "echo $SSH_AUTH_SOCK; test -e /agent"
        mounts = [SSHMount("none", "/agent"), SSHMount("none", "/agent", required=True)]
        own = made.run("echo $SSH_AUTH_SOCK", mounts[0], env=("PATH=/bin", "SSH_AUTH_SOCK=/own"))
        return [made.run(script, mount) for mount in mounts] + [own]

    optional, required, own = steps(tmp_path, work)
    assert optional.startswith("/agent\nStepFailed")
    assert required == "SourceError: SSH agent none: not given"
    assert own == "/own\n"
