from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.dockerfiles import DOCKERFILES, ODD_TEXT
from tests.fuzz.properties import expanding_is_safe, parsing_is_safe

MANY = settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(DOCKERFILES)
def test_a_dockerfile_is_understood_and_printed_or_refused(text: str) -> None:
    parsing_is_safe(text.encode())


@MANY
@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    parsing_is_safe(data)
    parsing_is_safe(b"FROM a\n" + data)


@MANY
@given(
    ODD_TEXT.map(lambda text: text + "${a") | ODD_TEXT | st.text(max_size=40),
    st.dictionaries(st.sampled_from(["a", "b", "1", "ab", "V"]), ODD_TEXT),
    st.sampled_from("\\`"),
)
def test_any_word_is_expanded_or_refused(text: str, variables: dict[str, str], escape: str) -> None:
    expanding_is_safe(text, variables, escape)
