from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import write_seeds

_CHECKOUT = Path(__file__).parents[2]
SECONDS = 15


def test_nothing_is_found_in_a_while(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="left out: atheris is not installed")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_seeds(corpus, sorted(_CHECKOUT.glob("t*/**/Dockerfile")))
    words = ("-m", "tests.fuzz.atheris_parser", corpus, f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/")
    run = subprocess.run([sys.executable, *words], cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-5_000:]
    assert "DONE" in run.stderr
