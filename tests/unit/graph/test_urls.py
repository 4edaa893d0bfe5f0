from __future__ import annotations

import pytest

from ocibuild.graph import shown_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:pw@host:1/a/b?x=1#f", "https://host:1/a/b?…"),
        ("http://host", "http://host"),
        ("http://a:b@c@host/", "http://host/"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, expected: str) -> None:
    assert shown_url(url) == expected
