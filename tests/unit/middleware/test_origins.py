"""Whether a script tag (JSONP) may begin a connection; for `is_allowed` see test_middleware.py."""

from __future__ import annotations

import logging

import gevent
import pytest
from greenlet import GreenletExit

from primus_gevent.middleware.origins import is_allowed, is_script_allowed

PAGE = {"HTTP_ORIGIN": "https://page.example"}


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


@pytest.mark.parametrize("failure", [ValueError("x"), gevent.Timeout(1)])
def test_a_function_that_fails_lets_nobody_in(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """And what it has raised does not reach the WSGI server, which would answer in a way of its own."""

    def fails(origin: str) -> bool:
        raise failure

    with caplog.at_level(logging.ERROR):
        assert is_allowed(PAGE, fails) is False
        assert is_script_allowed({"HTTP_REFERER": "https://page.example/"}, fails) is False
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [failure, failure]


def test_a_function_is_stopped_with_its_server() -> None:
    def stopped(origin: str) -> bool:
        raise GreenletExit

    with pytest.raises(GreenletExit):
        is_allowed(PAGE, stopped)
