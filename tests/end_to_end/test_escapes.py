"""Steps that try the known ways out of a sandbox reach nothing: what is outside stays as it was."""

from __future__ import annotations

import io
import os
import platform
import shlex
import shutil
import tarfile
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.elf import libraries_of
from demo.upload import upload_image
from tests.support.bases import BUSYBOX_CONFIG, busybox_tree
from tests.support.peers import require_peer
from tests.support.program import program_of_root

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.program import Program

# what perl calls by number: x86_64, and the architectures that have the generic table
_NUMBERS = {
    "ptrace": (101, 117),
    "init_module": (175, 105),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "clock_settime": (227, 112),
    "open_by_handle_at": (304, 265),
    "getxattr": (191, 8),
}
_SYSCALL = {name: row[0 if platform.machine() == "x86_64" else 1] for name, row in _NUMBERS.items()}
_KEY = "ocibuild-test-canary"
INSECURE = "--security=insecure"
# with one ID, mknod makes an empty file with a record, which anybody may open: it is no device
_IS_DEVICE = rf"""is_device() {{ (exec 3< $1) && perl -e '
    my ($path, $key, $value) = (shift, "user.containers.override_stat", " " x 99);
    exit(syscall({_SYSCALL["getxattr"]}, $path, $key, $value, 99) >= 0)' $1; }}
"""

# Each succeeds where it reaches what it must not; CANARY is a file, VICTIM a process of the machine
ATTACKS = {
    "mount-tmpfs": "mount -t tmpfs none /mnt",
    "mount-proc": "mount -t proc none /mnt",
    "mount-bind": "mount --bind / /mnt",
    "mount-move": "mount --move /proc /mnt",
    "remount-sys": "mount -o remount,rw /sys || mount -o remount,rw,bind /sys",
    "remount-proc-sys": "mount -o remount,rw,bind /proc/sys",
    "uncover": "umount -l /proc/kcore || umount -l /proc/sys || umount -l /sys/firmware || umount -l /etc/hosts",
    "unmount-root": "umount -l /",
    "pivot-root": "mkdir -p /new/old && pivot_root /new /new/old",
    "chroot": r"""exec perl -e '
        mkdir "/jail"; chroot "/jail" or exit 1; chdir ".." for 1 .. 64; chroot "."; exit !-e "CANARY"'""",
    "open-directory-and-chroot": r"""exec perl -e '
        mkdir "/jail"; opendir my $out, "/"; chroot "/jail" or exit 1; chdir $out; chdir ".." for 1 .. 64;
        exit !-e ".CANARY"'""",
    "roots-of-processes": r"""
        for process in /proc/[0-9]*; do
            for place in root cwd root/.. cwd/../../../../../..; do
                if test -e $process/${place}CANARY || test -e $process/$place/CANARY; then exit 0; fi
            done
        done; exit 1""",
    "descriptors-of-processes": r"""
        for descriptor in /proc/[0-9]*/fd/*; do
            case $(readlink $descriptor) in
            "" | pipe:* | /dev/null | /attacks/* | /out) ;;
            *) readlink $descriptor; exit 0 ;;
            esac
        done; exit 1""",
    "environment-of-the-builder": "grep -l OCIBUILD_TEST_MARK /proc/[0-9]*/environ",
    "programs-of-processes": r"""
        for process in /proc/[0-9]*; do
            case $(readlink $process/exe) in "" | /usr/bin/busybox | /usr/bin/perl) ;; *) exit 0 ;; esac
        done; exit 1""",
    "trace-the-victim": f"exec perl -e 'exit(syscall({_SYSCALL['ptrace']}, 16, VICTIM, 0, 0) != 0)'",
    "kill-the-victim": "kill -0 VICTIM",
    # a handle of inode 2, the root of the file system that the store's files are on
    "open-by-handle": rf"""exec perl -e '
        open my $hosts, "<", "/etc/hosts"; my $handle = pack("IiII", 8, 1, 2, 0);
        my $fd = syscall({_SYSCALL["open_by_handle_at"]}, fileno($hosts), $handle, 0);
        exit($fd < 0)'""",
    "disks": _IS_DEVICE
    + r"""
        for file in /sys/class/block/*/dev; do
            number=$(cat $file); rm -f /disk
            mknod /disk b ${number%:*} ${number#*:} && is_device /disk && exit 0
            rm -f /dev/disk
            mknod /dev/disk b ${number%:*} ${number#*:} && is_device /dev/disk && exit 0
            rm -f /dev/shm/disk
            mknod /dev/shm/disk b ${number%:*} ${number#*:} && is_device /dev/shm/disk && exit 0
        done; rm -f /disk; exit 1""",
    "memory": _IS_DEVICE + "rm -f /mem; mknod /mem c 1 1 && is_device /mem",
    "kernel-log": _IS_DEVICE + "rm -f /kmsg; mknod /kmsg c 1 11 && is_device /kmsg",
    "console": _IS_DEVICE + "rm -f /console; mknod /console c 5 1 && is_device /console",
    "kernel-memory": "test $(head -c 16 /proc/kcore | wc -c) -gt 0",
    "keys-in-proc": "grep -q . /proc/keys",
    "timers": "grep -q . /proc/timer_list",
    "core-pattern": ": > /proc/sys/kernel/core_pattern",
    "sysctl": "for f in /proc/sys/kernel/panic /proc/sys/vm/swappiness; do : > $f && exit 0; done; exit 1",
    "sysrq": ": > /proc/sysrq-trigger",
    "uevent-helper": ": > /sys/kernel/uevent_helper",
    "sysfs": "for f in $(find /sys -maxdepth 5 -type f 2> /dev/null | head -500); do : > $f && exit 0; done; exit 1",
    "cgroup-mount": "mkdir -p /cg && mount -t cgroup -o memory none /cg || mount -t cgroup2 none /cg",
    "release-agent": r"""
        for f in $(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs 2> /dev/null | head -100); do
            : > $f && exit 0
        done; exit 1""",
    "modules": f"exec perl -e 'my $x = q(x); syscall({_SYSCALL['init_module']}, $x, 1, $x); exit($! == 1 || $! == 38)'",
    "time": f"exec perl -e 'my $t = pack(q(qq), time, 0); exit(syscall({_SYSCALL['clock_settime']}, 0, $t) != 0)'",
    "hostname": "hostname escaped",
    "terminal": r"""exec perl -e 'my $x = "x"; open(my $tty, "+<", "/dev/tty") && ioctl($tty, 0x5412, $x) || exit 1'""",
    "streams-as-terminal": r"""exec perl -e 'my $x = "x";
        for (0 .. 2) { open(my $f, "<&=", $_); exit 0 if ioctl($f, 0x5412, $x) } exit 1'""",
    "namespaces": "unshare -m true || unshare -n true || unshare -p true || unshare -u true || unshare -i true",
    "user-namespace-uncovers": "unshare -Urm sh -c 'umount -l /proc/kcore || umount -l /proc/sys || umount -l /sys'",
    "user-namespace-and-proc": "unshare -Urmpf sh -c 'mount -t proc none /mnt && : > /mnt/sys/kernel/core_pattern'",
    "user-namespace-and-sys": "unshare -Urm sh -c 'mount -o remount,rw,bind /sys && : > /sys/kernel/uevent_helper'",
    "user-namespace-and-bind": "unshare -Urm sh -c 'mount --bind /proc /mnt && : > /mnt/sys/kernel/core_pattern'",
    "user-namespace-and-memory": "unshare -Urm sh -c 'mount -t tmpfs none /mnt && mknod /mnt/m c 1 1 && : < /mnt/m'",
    "user-namespace-and-cgroup": "unshare -Urm sh -c 'mkdir -p /cg; mount -t cgroup -o memory none /cg'",
    "other-namespaces": "nsenter -t 1 -m -n -u -i true",
}
# what the kernel itself allows, and only a filter of system calls refuses
_KEYRING = rf"""exec perl -e '
    my ($type, $name) = ("user", "{_KEY}");
    syscall({_SYSCALL["keyctl"]}, 8, $_, -3) for -4, -5;
    exit !grep {{ syscall({_SYSCALL["keyctl"]}, 10, $_, $type, $name, 0) > 0 }} -3, -4, -5;'"""
ATTACKS |= {"keyring": _KEYRING, "user-namespace": "unshare -U true"}

_ATTEMPT = """\
for attack in /attacks/*; do
    if timeout 20 sh "$attack" > /out 2>&1 < /dev/null; then echo "ESCAPED $attack $(head -c 300 /out)"; fi
    echo "tried $attack"
done
"""


@pytest.fixture(scope="module")
def attacker_base(registry: str) -> str:
    """The reference of a base image with busybox and perl, which calls the kernel by number."""
    perl = require_peer("perl")
    tree = busybox_tree()
    tree.add_folder("mnt")
    tree.add_copy(perl, "/usr/bin/perl")
    for library in libraries_of(perl):
        tree.add_copy(library, library)
    reference = f"{registry}/library/attacker:latest"
    with tempfile.TemporaryFile() as tar:
        tree.write(tar.write)
        tar.seek(0)
        upload_image(reference, tar, BUSYBOX_CONFIG, created_by="busybox and perl")
    return reference


@dataclass(frozen=True, slots=True)
class Canary:
    """What is outside: a folder with a file, and a process of the user who builds."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def file(self) -> Path:
        return self.folder / "canary"


@contextmanager
def _canary(program: Program) -> Iterator[Canary]:
    """Give a canary, and see afterwards that it, and the machine, are as before."""
    folder = program.user.home / "outside"
    folder.mkdir()
    (folder / "canary").write_text("alive")
    program.user.give(folder)
    process = program.user.start("sleep", "1000")
    try:
        before = _seen(folder)
        begun = time.time() - time.monotonic()
        yield Canary(folder, process)
        assert _seen(folder) == before
        assert process.poll() is None
        assert abs(time.time() - time.monotonic() - begun) < 5
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder)


def _seen(folder: Path) -> list[object]:
    files = [(str(path), path.lstat().st_mtime_ns, path.lstat().st_mode) for path in sorted(folder.rglob("*"))]
    machine = [Path("/proc/sys/kernel", name).read_text() for name in ("core_pattern", "panic", "hostname")]
    devices = [(name, os.stat(f"/dev/{name}").st_mode, os.stat(f"/dev/{name}").st_uid) for name in ("null", "full")]
    mounts = Path("/proc/self/mountinfo").read_text()
    return [files, (folder / "canary").read_text(), machine, devices, mounts, os.stat(folder).st_mtime_ns]


def test_known_ways_out_lead_nowhere(everywhere: Program, attacker_base: str) -> None:
    """By root in the image, and by another user where there is one; and as a container that is run."""
    with _canary(everywhere) as canary:
        given = {"CANARY": str(canary.file), "VICTIM": str(canary.process.pid)}
        files: dict[str, str | bytes] = {}
        for name, script in ATTACKS.items():
            for word, value in given.items():
                script = script.replace(word, value)  # noqa: PLW2901
            files[f"attacks/{name}"] = script
        for user in ["root"] if everywhere.user.account.name.isdecimal() else ["root", "app"]:
            files["Dockerfile"] = (
                f"FROM {attacker_base}\nCOPY attacks /attacks\nRUN touch /out && chmod 777 /out\n"
                f"USER {user}\nRUN {_try()}\n"
            )
            _add_key(everywhere)
            context = everywhere.context("attacks", files)
            result = everywhere.user.run(
                "ocibuild", "build", "--progress=plain", "-t", "attacks", context, environ={"OCIBUILD_TEST_MARK": "x"}
            )
            assert "ESCAPED" not in result.stderr, [line for line in result.stderr.splitlines() if "ESCAPED" in line]
            assert result.returncode == 0, result.stderr
            assert result.stderr.count("tried /attacks/") == len(ATTACKS)
            ran = everywhere.user.run("ocibuild", "run", "attacks", "sh", "-c", _ATTEMPT)
            assert "ESCAPED" not in ran.stdout, [line for line in ran.stdout.splitlines() if "ESCAPED" in line]
            assert ran.stdout.count("tried /attacks/") == len(ATTACKS)


# of the attacks, those that do no harm where they succeed
_HARMLESS = ("mount-tmpfs", "uncover", "open-by-handle", "disks", "memory", "kernel-memory", "hostname", "namespaces")


def test_the_same_attacks_succeed_where_nothing_confines_them(attacker_base: str) -> None:
    """In an insecure step of root's: so it is the sandbox that refuses them, and not a mistake in them."""
    files: dict[str, str | bytes] = {f"attacks/{name}": ATTACKS[name] for name in _HARMLESS}
    files["Dockerfile"] = f"FROM {attacker_base}\nCOPY attacks /attacks\nRUN {INSECURE} {_try()}\n"
    with program_of_root() as program:
        built = program.build(program.context("insecure", files), "--allow", "security.insecure")
    escaped = {line.split()[1].removeprefix("/attacks/") for line in built.output if line.startswith("ESCAPED")}
    assert escaped >= {"mount-tmpfs", "open-by-handle", "disks", "hostname", "namespaces"}


def _try() -> str:
    return f"<<'EOF'\n{_ATTEMPT}EOF"


def _add_key(program: Program) -> None:
    """Give the user a key that a step must not find."""
    given = f'my ($type, $name, $secret) = ("user", "{_KEY}", "secret");'
    call = f"syscall({_SYSCALL['add_key']}, $type, $name, $secret, 6, -4)"
    assert program.user.run("perl", "-e", f"{given} exit({call} < 0)").returncode == 0


def test_paths_that_lead_out_lead_into_the_image(everywhere: Program, attacker_base: str) -> None:
    """Links that one step prepares for the next: the target of a mount, of WORKDIR, COPY and ADD; and a hostile tar."""
    with _canary(everywhere) as canary:
        out, up = canary.folder, "/.." * 20
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            for name in (
                f"..{up}{out}/from-tar",
                f"{out}/from-tar-2",
                "link/from-tar-3",
                "..",
                f"a/..{up}{out}/canary",
            ):
                if name.startswith("link/"):
                    link = tarfile.TarInfo("link")
                    link.type, link.linkname = tarfile.SYMTYPE, f"..{up}{out}"
                    archive.addfile(link)
                member = tarfile.TarInfo(name)
                member.size = 4 if name != ".." else 0
                member.type = tarfile.REGTYPE if name != ".." else tarfile.DIRTYPE
                archive.addfile(member, io.BytesIO(b"evil"[: member.size]))
        lines = [
            f"RUN ln -s {out} /absolute && ln -s ..{up}{out} /relative && ln -s /proc/self/root/..{out} /magic",
            "WORKDIR /absolute/made",
            "RUN touch here",
            "WORKDIR /relative/made",
            "RUN touch here",
            "WORKDIR /",
            "COPY file /absolute/",
            "COPY file /relative/file2",
            "COPY --link file /absolute/file3",
            "RUN --mount=type=tmpfs,target=/absolute/tmpfs touch /absolute/tmpfs/x",
            "RUN --mount=type=cache,target=/relative/cache touch /relative/cache/x",
            "RUN --mount=type=bind,rw,target=/absolute/bind touch /absolute/bind/x",
            "RUN --mount=type=bind,from=tree,source=/link/canary,target=/x ! grep alive /x",
            f"RUN --mount=type=secret,id=s,target={up}{out}/secret cat {out}/secret",
        ]
        tried = 0
        for instruction in (
            *lines,
            "ADD evil.tar /",
            "ADD evil.tar /absolute/",
            "COPY file /magic/",
            "WORKDIR /magic/x",
        ):
            text = f"""\
FROM {attacker_base} AS tree
RUN ln -s ..{up}{out} /link && mkdir -p {out} && echo inside > {out}/canary
FROM {attacker_base}
{lines[0]}
{instruction}
"""
            context = everywhere.context("links", {"Dockerfile": text, "file": "evil", "evil.tar": tar.getvalue()})
            built = everywhere.try_build(context, "--secret", f"id=s,src={context}/file")
            assert built.status == 0 or len(built.errors) == 1, built.stderr
            assert "Traceback" not in built.stderr
            tried += built.status == 0
        assert tried >= len(lines)


def test_links_that_change_while_they_are_followed(everywhere: Program, attacker_base: str) -> None:
    """A step swaps a directory of a cache for a link that leads up and out, while others mount below it."""
    with _canary(everywhere) as canary:
        swap = (
            f'mkdir "/c/dir"; symlink("{"/.." * 20}{canary.folder}", "/c/link"); my $end = time + 3;'
            " while (time < $end) {"
            ' rename "/c/x", "/c/dir"; rename "/c/link", "/c/x"; rename "/c/x", "/c/link"; rename "/c/dir", "/c/x"; }'
        )
        mounts = "".join(
            f"RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/c/x/t{n} touch /c/x/t{n}/f || true\n"
            for n in range(20)
        )
        text = f"""\
FROM {attacker_base} AS swaps
RUN --mount=type=cache,target=/c mkdir -p /c/x && perl -e '{swap}'; touch /swapped
FROM {attacker_base} AS mounts
{mounts}RUN touch /mounted
FROM scratch
COPY --from=swaps /swapped /
COPY --from=mounts /mounted /
"""
        context = everywhere.context("races", {"Dockerfile": text})
        for _ in range(2):
            built = everywhere.try_build(context, "--no-cache", "--jobs", "2")
            assert built.status == 0 or len(built.errors) == 1, built.stderr
            assert "Traceback" not in built.stderr


def test_device_nodes_in_mounts_cannot_be_opened(everywhere: Program, attacker_base: str) -> None:
    script = "for d in /t /c /b; do mknod $d/zero c 1 5; test $(head -c 1 $d/zero | wc -c) = 0 || echo ESCAPED $d; done"
    mounts = "--mount=type=tmpfs,target=/t --mount=type=cache,target=/c --mount=type=bind,rw,target=/b"
    context = everywhere.context("nodes", {"Dockerfile": f"FROM {attacker_base}\nRUN {mounts} {script} 2> /dev/null\n"})
    built = everywhere.build(context)
    assert not [line for line in built.output if "ESCAPED" in line]


def test_immutable_file_can_be_packed_and_removed(attacker_base: str) -> None:
    """Only an insecure step can make one; the layer has the file, and a step that fails leaves nothing of it."""
    immutable = """perl -e 'open my $f, "<", "/f"; my $flags = pack("q", 0x10); exit !ioctl($f, 0x40086602, $flags)'"""
    with program_of_root() as program:
        for option, ending, status in (("", "", 1), (INSECURE, "", 0), (INSECURE, "; false", 1)):
            text = f"FROM {attacker_base}\nRUN {option} touch /f && {immutable}{ending}\nRUN rm /f\n"
            context = program.context("immutable", {"Dockerfile": text})
            built = program.try_build(context, "--no-cache", "--allow", "security.insecure")
            assert built.status == status, built.stderr
        assert len(list((program.store / "snapshots").iterdir())) == 3


def test_terminal_of_the_user_takes_no_input_from_a_container(shared: Program, attacker_base: str) -> None:
    """TIOCSTI on each stream that is the user's terminal, also after an attempt to make it the container's own."""
    shared.check("build", "-q", "-t", "typing", shared.context("typing", {"Dockerfile": f"FROM {attacker_base}\n"}))
    script = """
        for my $n (0 .. 2) {
            open(my $f, "+<&=", $n); ioctl($f, 0x540E, 1);
            my $key = "x";
            print "typed\\n" if ioctl($f, 0x5412, $key);
        }
        print "tried\\n";"""
    words = ["ocibuild", "run", "typing", "perl", "-e", script]
    result = shared.user.run("script", "-qec", shlex.join(words), "/dev/null")
    assert "tried" in result.stdout
    assert "typed" not in result.stdout
