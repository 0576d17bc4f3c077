"""What one request costs and carries: nothing of werkzeug unless somebody asks for it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from primus_gevent.middleware import exchange as exchanges
from primus_gevent.middleware.exchange import Exchange
from tests.unit.fakes import ENVIRON
from tests.unit.middleware.asking import UPGRADE, ask, make


@pytest.fixture
def nothing_of_werkzeug(monkeypatch: Any) -> None:
    def make(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("an object of werkzeug was made")

    for name in ("LayerRequest", "LayerResponse", "Headers"):
        monkeypatch.setattr(exchanges, name, make)


@pytest.mark.usefixtures("nothing_of_werkzeug")
@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("path", ["", "/x", "/spec", "/primus.js"])
def test_no_object_of_werkzeug_is_made_for_nobody(path: str, upgrade: bool) -> None:
    primus = make()
    for environ in ({}, {"HTTP_ORIGIN": "http://a.example", "HTTP_USER_AGENT": "Trident/7.0"}):
        assert ask(primus, path, upgrade=upgrade, **environ).code == 200


def test_a_hook_costs_a_request_but_no_response(monkeypatch: Any) -> None:
    monkeypatch.setattr(exchanges, "LayerResponse", None)
    assert ask(make(authorization=lambda request: request.path == "/primus")).code == 200


@pytest.mark.parametrize(
    ("upgrade", "connection", "expected"),
    [
        ("websocket", "Upgrade", True),
        ("WebSocket", "keep-alive, upgrade", True),
        ("h2c, websocket", "Upgrade, HTTP2-Settings", True),
        ("h2c", "Upgrade", False),
        ("websocket", "close", False),
        ("websocket", None, False),
        (None, "Upgrade", False),
        (None, None, False),
    ],
)
def test_only_who_asks_for_a_websocket_upgrades(upgrade: Any, connection: Any, expected: bool) -> None:
    given = {"HTTP_UPGRADE": upgrade, "HTTP_CONNECTION": connection}
    environ = {key: value for key, value in given.items() if value is not None}
    assert Exchange(environ, "").upgrade is expected


def test_an_upgrade_has_no_body_to_wait_for() -> None:
    """pywsgi hands out its read file, which ends when the connection does; werkzeug would read on and on."""

    class Wire(BytesIO):
        def read(self, *args: Any) -> bytes:
            raise AssertionError("the first frames are nobody's body")

        readline = readinto = read1 = read

    seen: list[Any] = []
    primus = make()

    @primus.authorize
    def hook(request: Any) -> None:
        seen.append((request.get_data(), dict(request.form), dict(request.values), request.stream.read()))

    ask(primus, upgrade=True, QUERY_STRING="", **{"wsgi.input": Wire(), "wsgi.input_terminated": False})
    assert seen == [(b"", {}, {}, b"")]


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"CONTENT_LENGTH": "4"}, b"a=%26"),
        ({"CONTENT_LENGTH": "5", "wsgi.input_terminated": True}, b"a=%26"),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, b"a=%26"),
        ({}, b""),
    ],
)
@pytest.mark.parametrize("how", ["get_data", "form", "stream", "nothing"])
def test_a_body_that_a_layer_has_read_is_still_there(given: Any, body: bytes, how: str) -> None:
    """A poll's messages must not be lost because a hook has looked for a token among them."""
    seen: list[Any] = []
    primus = make()

    @primus.authorize
    def hook(request: Any) -> None:
        if how != "nothing":
            seen.append(
                {"get_data": request.get_data, "stream": request.stream.read}.get(how, lambda: None)()
            )
            seen.append(request.form.get("a") if how == "form" else None)

    kind = "application/x-www-form-urlencoded"
    ask(primus, REQUEST_METHOD="POST", CONTENT_TYPE=kind, **given, **{"wsgi.input": BytesIO(b"a=%26")})
    environ = primus.transformer.passed[0].environ
    left = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH", 99)))
    if how == "nothing":
        assert left == b"a=%26"[: int(given.get("CONTENT_LENGTH", 99))]
    else:
        size = int(given.get("CONTENT_LENGTH", 99))
        assert left == (body[:size] or b"a=%26")  # where nothing says how long it is, nobody reads it
        if how == "form" and size > 4:
            assert seen == [None, "&" if body else None]
        elif how != "form":
            assert seen == [body[:size], None]


@pytest.mark.parametrize("upgrade", [False, True])
def test_where_there_is_no_body_the_input_is_left_alone(upgrade: bool) -> None:
    """The hosts find the connection by it, and what they have read of its frames."""
    given = BytesIO()
    primus = make(authorization=lambda request: request.get_data() and None)
    ask(primus, upgrade=upgrade, **{"wsgi.input": given, "wsgi.input_terminated": True})
    assert primus.transformer.passed[0].environ["wsgi.input"] is given


def test_proxies_are_believed_from_the_layer_on_that_says_so() -> None:
    """Also by a request that a layer before it has made."""
    seen: list[str] = []
    primus = make()
    primus.before("first", lambda request, response: seen.append(request.forwarded.ip), index=0)
    primus.before("last", lambda request, response: seen.append(request.forwarded.ip))
    ask(primus, HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert seen == ["10.0.0.1", "1.2.3.4"]
    primus.remove("forwarded")
    ask(primus, HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert seen[2:] == ["10.0.0.1", "10.0.0.1"]


def test_headers_for_whoever_answers_say_nothing_about_a_body() -> None:
    """A transformer may send them as they are: a second length would put the next answer out of its place."""
    exchange = Exchange({**ENVIRON}, "")
    exchange.set_headers([("Pragma", "no-cache")])
    exchange.response.set_data("filled in, and then not sent")
    exchange.response.headers["Content-Type"] = "text/html"
    exchange.response.headers["Content-Encoding"] = "br"
    exchange.response.headers["X-Mine"] = "yes"
    assert exchange.headers == [("Pragma", "no-cache"), ("X-Mine", "yes")]


def test_it_shows_what_it_is() -> None:
    assert repr(Exchange({**ENVIRON}, "/a\nb")) == "<Exchange GET '/a\\nb'>"
    exchange = Exchange({**ENVIRON, **UPGRADE}, "")
    exchange.answer = exchange.response
    assert repr(exchange) == "<Exchange upgrade '/' answered>"
