from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocibuild.errors import ConfigError
from ocibuild.oci import Limits
from ocibuild.registry import RegistryConfig

if TYPE_CHECKING:
    from pathlib import Path


def _load(path: Path, text: str) -> Limits:
    (path / "config.toml").write_text(text)
    return RegistryConfig.load(str(path / "config.toml")).limits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Limits()),
        ("[limits]", Limits()),
        ('[limits]\nimage-size = "64GiB"', Limits(total=64 << 30)),
        ('[limits]\nimage-size = "500 MB"\nlayer-ratio = 1000', Limits(total=500_000_000, ratio=1000)),
        ("[limits]\nimage-size = 12345\nlayer-entries = 7", Limits(total=12345, entries=7)),
        ('[limits]\nimage-size = "12345"', Limits(total=12345)),
    ],
)
def test_limits_are_read(tmp_path: Path, text: str, expected: Limits) -> None:
    assert _load(tmp_path, text) == expected


def test_without_a_file_the_limits_are_the_usual_ones() -> None:
    assert RegistryConfig.load(None).limits == Limits(total=128 << 30, ratio=200, entries=10_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits = 3", "limits must be a table"),
        ("[limits]\nratio = 3", "unknown key 'limits.ratio'"),
        ("[limits]\nlayer-ratio = 0", "limits.layer-ratio must be a number above 0"),
        ("[limits]\nlayer-ratio = true", "limits.layer-ratio must be a number above 0"),
        ("[limits]\nlayer-ratio = 2.5", "limits.layer-ratio must be a number above 0"),
        ('[limits]\nlayer-ratio = "200"', "limits.layer-ratio must be a number above 0"),
        ("[limits]\nimage-size = -1", "limits.image-size must be a number above 0"),
        ('[limits]\nimage-size = "0"', "'0' is not a size"),
        ('[limits]\nimage-size = "1.5GiB"', "'1.5GiB' is not a size"),
        ('[limits]\nimage-size = "64G"', "'64G' is not a size"),
    ],
)
def test_what_is_no_limit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)
