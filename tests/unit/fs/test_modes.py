"""Changes of modes: what is expected here, docker 28's BuildKit made of files with these modes."""

from __future__ import annotations

import pytest

from ocibuild.fs import ModeChange

_FILE, _PROGRAM, _SPECIAL = 0o640, 0o751, 0o7421


@pytest.mark.parametrize(
    ("text", "file", "program", "special", "directory"),
    [
        # the last is a directory with 2705
        ("755", 0o755, 0o755, 0o755, 0o755),
        ("0", 0, 0, 0, 0),
        ("07777", 0o7777, 0o7777, 0o7777, 0o7777),
        ("00000000644", 0o644, 0o644, 0o644, 0o644),
        ("u=rwX,go=rX", 0o644, 0o755, 0o1755, 0o755),
        ("+", 0o640, 0o751, 0o7421, 0o2705),
        ("u+", 0o640, 0o751, 0o7421, 0o2705),
        ("+x", 0o751, 0o751, 0o7531, 0o2715),
        ("a-w", 0o440, 0o551, 0o7401, 0o2505),
        ("go=", 0o600, 0o700, 0o5400, 0o700),
        ("u=", 0o040, 0o051, 0o3021, 0o2005),
        ("=rw", 0o666, 0o666, 0o1666, 0o666),
        ("+X", 0o640, 0o751, 0o7531, 0o2715),
        ("-X", 0o640, 0o640, 0o7420, 0o2604),
        ("=X", 0, 0o111, 0o1111, 0o111),
        ("u=xX", 0o140, 0o151, 0o3121, 0o2105),
        # copied from another class, which other letters beside it come before or after
        ("g=u", 0o660, 0o771, 0o7441, 0o2775),
        ("go=u-w", 0o644, 0o755, 0o7444, 0o2755),
        ("u=rgw", 0o240, 0o251, 0o3221, 0o2205),
        ("u=gw", 0o240, 0o251, 0o3221, 0o2205),
        ("uo=g", 0o444, 0o555, 0o7222, 0o2000),
        ("+g", 0o644, 0o755, 0o7623, 0o2705),
        ("-u", 0o000, 0o000, 0o7021, 0o2000),
        ("=o", 0o000, 0o111, 0o7111, 0o2555),
        # several operators in a clause
        ("u+r-w+x", 0o540, 0o551, 0o7521, 0o2505),
        ("u=rwX-x", 0o640, 0o651, 0o3621, 0o2605),
        ("a-x+X", 0o640, 0o751, 0o7531, 0o2715),
        ("go+u,u-x,a-s", 0o666, 0o677, 0o1465, 0o677),
        # bits that are no permissions
        ("u=s", 0o4040, 0o4051, 0o7021, 0o6005),
        ("g+s,o=", 0o2640, 0o2750, 0o7420, 0o2700),
        ("o+st", 0o640, 0o751, 0o7421, 0o2705),
        ("u+t", 0o1640, 0o1751, 0o7421, 0o3705),
        ("a+st", 0o7640, 0o7751, 0o7421, 0o7705),
        ("a=rst", 0o7444, 0o7444, 0o7444, 0o7444),
        ("=t", 0o1640, 0o1751, 0o7421, 0o3705),
        ("+xt", 0o1640, 0o1751, 0o7421, 0o3705),
    ],
)
def test_a_change_gives(text: str, file: int, program: int, special: int, directory: int) -> None:
    change = ModeChange.parse(text)
    given = [change.apply(mode, is_directory=False) for mode in (_FILE, _PROGRAM, _SPECIAL)]
    given.append(change.apply(0o2705, is_directory=True))
    assert [f"{mode:04o}" for mode in given] == [f"{mode:04o}" for mode in (file, program, special, directory)]
    assert change.text == text


@pytest.mark.parametrize("text", ["8", "789", "10000", "0o755", "07777x", "1777777", "7 7"])
def test_what_begins_like_a_number_is_octal_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match="octal, between 0 and 07777"):
        ModeChange.parse(text)


@pytest.mark.parametrize("text", ["", "u", "rwx", "u+r,", ",u+r", "u=rwx,,g=r", "-1", "u+r w", "u:rwx", "u+q", "+755"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it is octal, or like u=rwX,go=rX"):
        ModeChange.parse(text)


@pytest.mark.parametrize("text", ["0" * 100_000, "u" * 100_000, "u+" * 50_000, "u+r," * 25_000, "+r" * 50_000 + "!"])
def test_a_very_long_mode_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="longer than"):
        ModeChange.parse(text)
