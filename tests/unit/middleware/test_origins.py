"""Whether a script tag (JSONP) may begin a connection; for `is_allowed` see test_middleware.py."""

from __future__ import annotations

import pytest

from primus_gevent.middleware.origins import is_script_allowed


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, False),  # a page can hold its referrer back
        ({"HTTP_REFERER": "https://good.example/page?x=1"}, True),
        ({"HTTP_REFERER": "https://evil.example/https://good.example/"}, False),
        ({"HTTP_REFERER": "https://good.example.evil.example/"}, False),
        ({"HTTP_REFERER": "not an address"}, False),
        ({"HTTP_REFERER": "http://[broken"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_REFERER": "https://evil.example/"}, False),
        ({"HTTP_ORIGIN": "https://good.example"}, True),
        ({"HTTP_ORIGIN": "https://evil.example", "HTTP_REFERER": "https://good.example/"}, False),
    ],
)
def test_a_script_tag_is_judged_by_its_page(headers: dict[str, str], allowed: bool) -> None:
    assert is_script_allowed(headers, ("https://good.example",)) is allowed
    assert is_script_allowed(headers, "*") is True
