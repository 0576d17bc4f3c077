"""WSGI middleware as a layer."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from primus_gevent import wsgi_layer
from tests.unit.middleware.asking import ERROR_500, ask, make

BOTH_KINDS = pytest.mark.parametrize("upgrade", [False, True])


@BOTH_KINDS
def test_proxy_fix(upgrade: bool) -> None:
    primus = make()
    seen: list[Any] = []

    def look(request: Any, response: Any) -> None:
        seen.append((request.host, request.url, request.remote_addr, request.is_secure, request.root_path))

    primus.before("look", look)
    primus.before("before", look, index=0)  # so that werkzeug has cached what is to change
    primus.before("proxy", wsgi_layer(ProxyFix, x_for=1, x_proto=1, x_host=1, x_prefix=1), index=1)
    primus.authorize(lambda request: setattr(request, "user", request.remote_addr))
    ask(
        primus,
        upgrade=upgrade,
        QUERY_STRING="",
        HTTP_X_FORWARDED_FOR="9.9.9.9, 1.2.3.4",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="a.example",
        HTTP_X_FORWARDED_PREFIX="/app",
    )
    assert seen == [
        ("localhost", "http://localhost/primus", "10.0.0.1", False, ""),
        ("a.example", "https://a.example/app/primus", "1.2.3.4", True, "/app"),
    ]
    exchange = primus.transformer.passed[0]
    assert exchange.seen_request.user == "1.2.3.4"
    assert exchange.environ["REMOTE_ADDR"] == "1.2.3.4"
    assert not any("primus_gevent" in key for key in exchange.environ)


@BOTH_KINDS
def test_one_that_answers_itself(upgrade: bool) -> None:
    def middleware(app: Any) -> Any:
        return DispatcherMiddleware(app, {"/primus/metrics": Response("numbers", 201)})

    primus = make()
    primus.before("metrics", wsgi_layer(middleware))
    answer = ask(primus, "/metrics", upgrade=upgrade)
    assert (answer.code, answer.body) == (201, b"numbers")
    assert ask(primus, "/other", upgrade=upgrade).body == b"passed"
    assert len(primus.transformer.passed) == 1


def adds_headers(app: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            more = [("X-Frame-Options", "DENY"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
            more += [
                ("Vary", "Cookie"),
                ("Content-Type", "text/html"),
                ("Content-Length", "0"),
                ("ETag", '"0"'),
            ]
            return start_response(status, [*headers, *more], exc_info)

        environ["session"] = "in the environ"
        return app(dict(environ), start)  # a copy, as some do

    return middleware


@BOTH_KINDS
def test_one_that_adds_headers(upgrade: bool) -> None:
    primus = make(credentials=False)
    primus.before("adds", wsgi_layer(adds_headers))
    answer = ask(primus, upgrade=upgrade)
    assert answer.body == b"passed"
    assert answer.header("X-Frame-Options") == "DENY"
    assert answer.all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.header("Vary") == "Cookie"
    assert (answer.header("Content-Type"), answer.header("Content-Length")) == ("text/plain", "6")
    assert answer.header("ETag") is None
    assert primus.transformer.passed[0].environ["session"] == "in the environ"


@BOTH_KINDS
def test_one_that_raises(upgrade: bool, caplog: Any) -> None:
    def middleware(app: Any) -> Any:
        def run(environ: Any, start_response: Any) -> Any:
            app(environ, start_response)
            raise RuntimeError("secret")

        return run

    primus = make()
    primus.before("broken", wsgi_layer(middleware))
    answer = ask(primus, upgrade=upgrade)
    assert (answer.code, answer.json) == (500, ERROR_500)
    assert "'broken' failed" in caplog.text


def test_what_a_failed_request_reached_is_not_said_of_the_next_one() -> None:
    """It was looked up by the identity of an environ, which a later one may have too."""

    def middleware(app: Any) -> Any:
        def run(environ: Any, start_response: Any) -> Any:
            if environ["PATH_INFO"].endswith("raise"):
                app(environ, start_response)
                raise RuntimeError
            return Response("no", 403)(environ, start_response)

        return run

    primus = make()
    primus.before("gate", wsgi_layer(middleware))
    for _ in range(50):
        assert ask(primus, "/raise").code == 500
        assert ask(primus, "/x").code == 403


@pytest.mark.parametrize("how", ["status", "body"])
def test_one_that_passes_and_then_answers_otherwise(how: str) -> None:
    def middleware(app: Any) -> Any:
        def run(environ: Any, start_response: Any) -> Any:
            passed = app(environ, lambda *_: None)
            if how == "status":
                start_response("403 Forbidden", [])
                return passed
            start_response("200 OK", [])
            return [b"instead"]

        return run

    primus = make()
    primus.before("gate", wsgi_layer(middleware))
    answer = ask(primus)
    assert (answer.code, answer.body) == ((403, b"") if how == "status" else (200, b"instead"))
    assert not primus.transformer.passed


def test_several_requests_at_once() -> None:
    go = Event()

    def middleware(app: Any) -> Any:
        def run(environ: Any, start_response: Any) -> Any:
            go.wait(5)
            environ["mark"] = environ["PATH_INFO"]
            return app(environ, start_response)

        return run

    primus = make()
    primus.before("slow", wsgi_layer(middleware))
    requests = [gevent.spawn(ask, primus, f"/{number}") for number in range(5)]
    gevent.sleep(0)
    go.set()
    gevent.joinall(requests, timeout=5, raise_error=True)
    marks = [exchange.environ["mark"] for exchange in primus.transformer.passed]
    assert sorted(marks) == [f"/primus/{number}" for number in range(5)]


def test_attributes_and_what_was_read_of_the_body_stay() -> None:
    primus = make()
    seen: list[Any] = []

    def first(request: Any, response: Any) -> None:
        request.mark = request.get_data()

    primus.before("first", first)
    primus.before("proxy", wsgi_layer(ProxyFix))
    primus.before("last", lambda request, response: seen.append((request.mark, request.get_data())))

    ask(
        primus,
        REQUEST_METHOD="POST",
        CONTENT_LENGTH="4",
        HTTP_X_FORWARDED_FOR="1.2.3.4",
        **{"wsgi.input": BytesIO(b"body and more")},
    )
    assert seen == [(b"body", b"body")]


def test_middleware_of_class_based_apps() -> None:
    """Made with options by name, and used as `Request.application` makes them."""

    class Gate:
        def __init__(self, app: Any, *, secret: str) -> None:
            self.app = app
            self.secret = secret

        def __call__(self, environ: Any, start_response: Any) -> Any:
            if Request(environ).args.get("secret") == self.secret:
                return self.app(environ, start_response)
            return Response("no", 403)(environ, start_response)

    primus = make()
    primus.before("gate", wsgi_layer(Gate, secret="s"))
    assert ask(primus, QUERY_STRING="secret=s").body == b"passed"
    assert ask(primus, QUERY_STRING="").code == 403
