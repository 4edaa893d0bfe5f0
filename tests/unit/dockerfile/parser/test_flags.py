from __future__ import annotations

import pytest

from ocibuild.dockerfile.parser.flags import Flags, FlagSet, parse_flags
from ocibuild.errors import DockerfileError
from ocibuild.graph.csvfields import csv_fields

KNOWN = FlagSet(("value", "other"), ("switch",), ("list",), {"device": "there is none"})

UNDERSTOOD = [
    ([], Flags()),
    (["--value=x"], Flags({"value": "x"})),
    (["--value="], Flags({"value": ""})),
    (["--value=a=b"], Flags({"value": "a=b"})),
    (["--other=1", "--value=2"], Flags({"other": "1", "value": "2"})),
    (["--switch"], Flags({}, {"switch": True})),
    (["--switch=true"], Flags({}, {"switch": True})),
    (["--switch=False"], Flags({}, {"switch": False})),
    (["--list=a", "--list=", "--list=a"], Flags({}, {}, {"list": ["a", "", "a"]})),
    (["--value=\u00e9"], Flags({"value": "\u00c3\u00a9"})),
]


@pytest.mark.parametrize(("flags", "expected"), UNDERSTOOD, ids=[" ".join(row[0]) for row in UNDERSTOOD])
def test_flags_are_understood(flags: list[str], expected: Flags) -> None:
    assert parse_flags(flags, KNOWN, instruction="RUN") == expected


REFUSED = [
    (["--valeu=x"], "RUN has no flag --valeu", "did you mean --value?"),
    (["--Value=x"], "RUN has no flag --Value", "did you mean --value?"),
    (["--zzz"], "RUN has no flag --zzz", None),
    (["--=x"], "RUN has no flag --", None),
    (["--value"], "RUN --value needs a value", "write --value=VALUE"),
    (["--list"], "RUN --list needs a value", "write --list=VALUE"),
    (["--value=1", "--value=1"], "RUN --value is given twice", None),
    (["--switch", "--switch"], "RUN --switch is given twice", None),
    (["--switch="], "RUN --switch= needs a value", "write --switch or --switch=false"),
    (["--switch=1"], "RUN --switch is true or false, not '1'", None),
    (["--switch=yes"], "RUN --switch is true or false, not 'yes'", None),
    (["--device=x"], "RUN --device is not supported: there is none", None),
    (["--value=\u00e0"], "the flag '--value=\u00e0' holds a character that no flag can hold", "use ASCII there"),
    (["--value=a\xa0b"], "the flag '--value=a\\xa0b' holds a character that no flag can hold", "use ASCII there"),
]


@pytest.mark.parametrize(("flags", "message", "remedy"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_wrong_flags_are_refused(flags: list[str], message: str, remedy: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_flags(flags, KNOWN, instruction="RUN")
    assert (caught.value.message, caught.value.remedy) == (message, remedy)


FIELDS = [
    ("a", ("a",)),
    ("a=b,c", ("a=b", "c")),
    ("a,", ("a", "")),
    (",", ("", "")),
    (" a , b ", (" a ", " b ")),
    ('"a,b",c', ("a,b", "c")),
    ('"a=""b"""', ('a="b"',)),
    ('""', ("",)),
    ('a,"b"', ("a", "b")),
]


@pytest.mark.parametrize(("text", "expected"), FIELDS, ids=[row[0] for row in FIELDS])
def test_fields_are_separated_by_commas(text: str, expected: tuple[str, ...]) -> None:
    assert csv_fields(text) == expected


@pytest.mark.parametrize("text", ["", 'a"b', '"a"b', '"a', 'a"', '"', 'a,"', '"a""', ' "a"', '"a" '])
def test_wrong_quotes_in_fields_are_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        csv_fields(text)
