"""Ten builds at once on one store: what they share is fetched and run once, and each gives the image that it should."""

from __future__ import annotations

import io
import re
import secrets
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.registry import Service, serve
from demo.upload import upload_image
from tests.support.bases import BUSYBOX_CONFIG, busybox_tree
from tests.support.processes import descendants, kill_all, mounts_below, processes_with, wait_until
from tests.support.program import Built
from tests.support.trees import changes, read_archive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.program import Program
    from tests.support.trees import Image

BUILDS = 10
UUID = "cat /proc/sys/kernel/random/uuid"
# The steps of the first stage are the same for all, those of the second for every second of them. With a secret, of
# which no key knows, the first to run the first of them stays in it.
TEXT = """\
FROM {service}/bases/one:1 AS everybody
COPY same /same
RUN --mount=type=secret,id=stay --mount=type=cache,target=/first \
    : {token} && if [ -e /run/secrets/stay ] && mkdir /first/ran; then sleep 300; else sleep 1; fi; \
    {uuid} > /everybody
RUN {uuid} >> /everybody
FROM {service}/bases/{base}:1 AS half
RUN : half && {uuid} > /half
COPY --link same /linked
FROM half
COPY own /own
COPY --from=everybody /everybody /same/ /all/
RUN --mount=from=everybody,target=/m cmp /m/everybody /all/everybody && {uuid} > /alone && cat /own /half > /both
"""
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def service() -> Iterator[Service]:
    """A registry with two bases, and nothing seen."""
    with serve() as service:
        for name in ("one", "two"):
            tree = busybox_tree()
            tree.add_text("name", name)
            tar = io.BytesIO()
            tree.write(tar.write)
            tar.seek(0)
            upload_image(f"{service.address}/bases/{name}:1", tar, BUSYBOX_CONFIG, created_by=name)
        service.seen.clear()
        yield service


@dataclass(frozen=True, slots=True)
class Builds:
    """Ten contexts; each process of the shared step has ``token`` in its command line, each of all builds ``mark``."""

    program: Program
    contexts: tuple[Path, ...]
    token: str
    mark: str

    @classmethod
    def prepare(cls, program: Program, service: Service) -> Builds:
        token = str(10**8 + secrets.randbelow(10**8))
        contexts = []
        for number in range(BUILDS):
            base = ("one", "two")[number % 2]
            text = TEXT.format(service=service.address, base=base, token=token, uuid=UUID)
            files: dict[str, str | bytes] = {"Dockerfile": text, "own": f"{number}\n", "same/file": b"same\n" * 50_000}
            contexts.append(program.context(f"build{number}", files))
        return cls(program, tuple(contexts), token, secrets.token_hex(8))

    @property
    def store(self) -> Path:
        return self.program.user.home / "store"

    def start(self, number: int, *options: str) -> subprocess.Popen[str]:
        words = ("--progress", "plain", "-t", f"image:{number}", "-o", f"type=oci,dest={self._archive(number)}")
        return self.program.user.start(
            *("ocibuild", "--root", self.store, "build", *words),
            *options,
            self.contexts[number],
            environ={"OCIBUILD_TEST_MARK": self.mark},
        )

    def _archive(self, number: int) -> Path:
        return self.program.user.home / f"image{number}.tar"

    def image(self, number: int) -> Image:
        """Return what a build gave, with each UUID in its files as they are."""
        return read_archive(self._archive(number))

    def check(self, number: int) -> None:
        """Compare with what the same build gives alone, on an empty store."""
        root, archive = self.program.user.home / f"alone{number}", self.program.user.home / "alone.tar"
        self.program.build(self.contexts[number], "-o", f"type=oci,dest={archive}", root=root)
        found, expected = (read_archive(path, _without_uuids) for path in (self._archive(number), archive))
        assert changes(expected.tree, found.tree) == []
        assert found.config["config"] == expected.config["config"]
        assert len(found.layers) == len(expected.layers)

    def check_store(self, numbers: list[int]) -> None:
        """See that the images are whole, and that nothing is left of any build, once one more has begun."""
        for number in numbers:
            assert self.program.run("--root", self.store, "validate", f"image:{number}").returncode == 0
        assert not processes_with(self.mark)
        assert not processes_with(self.token)
        assert not mounts_below(self.program.user.home)
        self.program.build(self.contexts[0], "--no-cache", root=self.store)
        assert [name for name in ("ingest", "scratch", "trees") if any((self.store / name).iterdir())] == []


def _without_uuids(content: bytes) -> bytes:
    return _UUID.sub(b"UUID", content)


def test_ten_builds_at_once_share_what_they_can_and_give_the_right_images(ocibuild: Program, service: Service) -> None:
    builds = Builds.prepare(ocibuild, service)
    ended = [_end(process) for process in [builds.start(number) for number in range(BUILDS)]]
    assert [one for one in ended if one[0] != 0] == []
    fetched = Counter(one.path for one in service.requests("GET", "/blobs/") if one.status == 200)
    assert set(fetched.values()) == {1}
    assert len(fetched) == 4  # two layers and two configs
    ran = Counter(_step(label) for _, output in ended for label in Built(0, "", output).ran("RUN"))
    assert ran == {"everybody 3/4": 1, "everybody 4/4": 1, "half 2/3": 2, "stage-2 3/3": BUILDS}
    images = [builds.image(number) for number in range(BUILDS)]
    assert len({image.tree["all/everybody"].detail for image in images}) == 1
    assert [len({image.tree["half"].detail for image in images[half::2]}) for half in (0, 1)] == [1, 1]
    assert len({image.tree["alone"].detail for image in images}) == BUILDS
    for number in (0, 1, BUILDS - 1):
        builds.check(number)
    builds.check_store(list(range(BUILDS)))


def test_one_of_ten_that_is_killed_does_no_harm_to_the_others(ocibuild: Program, service: Service) -> None:
    """The one that runs the step for which all others wait: one of them runs it then."""
    builds = Builds.prepare(ocibuild, service)
    stay = ocibuild.user.home / "stay"
    stay.write_text("the first that runs the step ends there")
    processes = [builds.start(number, "--secret", f"id=stay,src={stay}") for number in range(BUILDS)]
    victim: list[int] = []

    def begun() -> bool:
        victim[:] = [number for number, process in enumerate(processes) if _runs(process.pid, builds.token)]
        return bool(victim)

    wait_until(begun, seconds=60)
    kill_all([processes[victim[0]].pid])
    ended = [_end(process) for process in processes]
    others = [number for number in range(BUILDS) if number != victim[0]]
    assert ended[victim[0]][0] == -signal.SIGKILL
    assert [ended[number] for number in others if ended[number][0] != 0] == []
    ran = Counter(_step(label) for number in others for label in Built(0, "", ended[number][1]).ran("RUN"))
    assert ran["everybody 3/4"] == ran["everybody 4/4"] == 1
    images = [builds.image(number) for number in others]
    assert len({image.tree["all/everybody"].detail for image in images}) == 1
    for number in others[:2]:
        builds.check(number)
    builds.check_store(others)


def _step(label: str) -> str:
    """Return a step's stage and place, which are in brackets before its instruction."""
    return label.partition("] ")[0].removeprefix("[")


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=300)
    assert "Traceback" not in output, output
    return process.returncode, output


def _runs(pid: int, token: str) -> bool:
    """Tell whether a step with ``token`` runs below a process."""
    try:
        return any(token.encode() in Path(f"/proc/{one}/cmdline").read_bytes() for one in descendants(pid)[1:])
    except OSError:  # one has ended meanwhile
        return False
