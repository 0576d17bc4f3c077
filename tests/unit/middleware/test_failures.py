"""Answers as the reason of a Close frame. What is answered over HTTP is in the tests of who refuses."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from primus_gevent.middleware.failures import failure, going_down, internal_error, reason_of
from tests.unit.fakes import ENVIRON


def endless(closed: list[str]) -> Any:
    try:
        while True:
            yield b"words "
    finally:
        closed.append("closed")


def broken() -> Any:
    yield b"words"
    raise RuntimeError


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failure("go away", 401), "go away"),
        (failure("gö away", 401), "gö away"),
        (failure({"a": 1}, 401), '{"a":1}'),
        (failure("x" * 5000, 401), None),
        (internal_error(), "Internal Server Error"),
        (going_down(), "This server is going down"),
        (Response("full", 503, mimetype="text/plain"), "full"),
        (Response("[1]", 403, mimetype="application/json"), "[1]"),
        (Response("{no json", 403, mimetype="application/json"), "{no json"),
        (Response("<b>no</b>", 403, mimetype="text/html"), "FORBIDDEN"),
        (Response("", 403), "FORBIDDEN"),
        (Response(b"\xff\xfe no", 403, mimetype="text/plain"), "no"),
        (redirect("/login"), "FOUND"),
        (Response(broken(), 403, mimetype="text/plain"), "words"),
    ],
)
def test_the_reason_is_what_a_person_can_read(answer: Any, reason: str | None) -> None:
    for environ in (ENVIRON, {**ENVIRON, "HTTP_ACCEPT_ENCODING": "gzip", "REQUEST_METHOD": "HEAD"}):
        if reason is None:
            assert "xxx" in reason_of(answer, environ)[1]
        elif "words" not in reason or environ is ENVIRON:  # a stream is there once
            assert reason_of(answer, environ)[1] == reason


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    closed: list[str] = []
    _, reason = reason_of(Response(endless(closed), mimetype="text/plain"), ENVIRON)
    assert reason.startswith("words words")
    assert len(reason) < 10_000
    assert closed == ["closed"]


def test_an_answer_that_fails_has_no_reason(caplog: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise RuntimeError

    assert reason_of(application, ENVIRON) == (500, "")
    assert "failed" in caplog.text
