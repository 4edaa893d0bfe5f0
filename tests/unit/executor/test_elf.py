from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from demo.elf import read_elf
from ocibuild.executor.elf import PROCESSORS, counting_program, is_static, pattern
from ocibuild.oci import Platform
from tests.support.peers import require_peer

_QEMU = {"arm64": "aarch64", "loong64": "loongarch64", "mips64le": "mips64el"}


def _of_debian(architecture: str) -> tuple[bytes, bytes]:
    """Return the magic and the mask with which Debian registers qemu."""
    require_peer("qemu-aarch64-static")
    text = Path(f"/usr/lib/binfmt.d/qemu-{_QEMU.get(architecture, architecture)}.conf").read_text()
    _, _, _, _, magic, mask, *_ = text.strip().split(":")
    return tuple(
        re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), part).encode("latin-1") for part in (magic, mask)
    )  # type: ignore[return-value]


@pytest.mark.parametrize("architecture", sorted(set(PROCESSORS) - {"386", "amd64"}))
def test_patterns_are_of_the_programs_that_debian_registers(architecture: str) -> None:
    start, mask = pattern(PROCESSORS[architecture])
    their_start, their_mask = _of_debian(architecture)
    both = [ours & theirs for ours, theirs in zip(mask, their_mask, strict=True)]
    assert [a & b for a, b in zip(start, both, strict=True)] == [a & b for a, b in zip(their_start, both, strict=True)]
    assert start[18:] == their_start[18:]


def test_no_two_patterns_are_alike() -> None:
    masked = {bytes(a & b for a, b in zip(*pattern(processor), strict=True)) for processor in PROCESSORS.values()}
    assert len(masked) == len(PROCESSORS)


@pytest.mark.parametrize("architecture", PROCESSORS)
def test_counting_program_is_one_for_its_processor(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / architecture
    path.write_bytes(counting_program(PROCESSORS[architecture]))
    bits, order, machine = read_elf(str(path)).machine
    processor = PROCESSORS[architecture]
    assert (bits * 32, order == 2, machine) == (processor.bits, processor.big_endian, processor.machine)


def test_pattern_is_that_of_this_machines_own_programs() -> None:
    start, mask = pattern(PROCESSORS[Platform.host().architecture])
    own = Path("/bin/sh").read_bytes()[: len(mask)]
    assert bytes(a & b for a, b in zip(own, mask, strict=True)) == start


def test_static_programs_are_told_from_others() -> None:
    assert is_static(Path(require_peer("busybox")).read_bytes()[:4096])
    assert not is_static(Path(str(shutil.which("sh"))).read_bytes()[:4096])
    assert not is_static(b"#!/bin/sh\n")
    assert not is_static(b"")
