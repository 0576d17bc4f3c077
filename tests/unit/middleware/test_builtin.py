"""The layers of Primus itself: exact headers, for what they run, and what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.middleware.asking import ask, make

NO_CACHE = "no-store, no-cache, must-revalidate, max-age=0"


@pytest.mark.parametrize("path", ["", "/", "/x", "/primus.js/", "/spec/"])
def test_caches_are_kept_away_from_what_the_transformer_answers(path: str) -> None:
    answer = ask(make(), path)
    assert answer.body == b"passed"
    assert (answer.header("Cache-Control"), answer.header("Pragma")) == (NO_CACHE, "no-cache")


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "0"),
        ("TRIDENT/4.0", "0"),
        ("Mozilla/4.0 (compatible;MSIE 8.0)", "0"),
        ("Mozilla/4.0 (compatible; MSIE 8.0)", None),
        ("Mozilla/5.0 Firefox/120", None),
        ("", None),
    ],
)
def test_the_filter_of_old_internet_explorers_is_turned_off(agent: str, expected: str | None) -> None:
    assert ask(make(), HTTP_USER_AGENT=agent).header("X-XSS-Protection") == expected


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    ("path", "kind"), [("/primus.js", "text/javascript; charset=utf-8"), ("/spec", "application/json")]
)
def test_the_two_documents_are_answered_before_what_follows(path: str, kind: str, method: str) -> None:
    seen: list[str] = []
    primus = make(authorization=lambda request: seen.append("asked"))
    primus.before("mine", lambda request, response: seen.append("ran"))
    answer = ask(
        primus,
        path,
        REQUEST_METHOD=method,
        HTTP_ORIGIN="http://a.example",
        HTTP_USER_AGENT="Trident/7.0",
    )
    assert (answer.code, answer.header("Content-Type")) == (200, kind)
    assert answer.header("Access-Control-Allow-Origin") == "http://a.example"
    assert answer.header("Access-Control-Allow-Credentials") == "true"
    assert answer.header("Cache-Control") == "no-cache"  # our own: to be asked for again
    assert answer.header("Pragma") is None
    assert answer.header("X-XSS-Protection") is None
    assert len(answer.body) == (0 if method == "HEAD" else int(answer.header("Content-Length") or 0))
    assert seen == []


def test_the_spec_is_spaced_as_the_original_does() -> None:
    primus = make()
    body = ask(primus, "/spec").body
    assert body.decode() == json.dumps(primus.spec, separators=(",", ":"))


def test_of_the_layers_of_primus_upgrades_pass_two() -> None:
    primus = make()
    answer = ask(primus, "/spec", upgrade=True, HTTP_ORIGIN="http://a.example", HTTP_USER_AGENT="Trident/7.0")
    assert answer.body == b"passed"
    assert {name for name, _ in answer.headers} == {"Content-Type", "Content-Length", "Connection"}


def test_the_headers_of_layers_and_of_the_answer_are_united() -> None:
    """Those of the answer win, because they may belong to a protocol; each comes once."""
    primus = make()
    primus.before("mine", lambda request, response: response.headers.add("Vary", "origin, Cookie"))
    answer = ask(primus, HTTP_ORIGIN="http://a.example")
    assert answer.header("Vary") == "Origin, Cookie"
    names: list[Any] = [name.lower() for name, _ in answer.headers]
    assert len(names) == len(set(names))
