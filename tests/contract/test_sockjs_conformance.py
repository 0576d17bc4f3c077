"""The assertions of SockJS's test suite (sockjs/sockjs-protocol, main), test by test, on raw sockets.

Its names are kept, with the class in front. What differs, and why:

- ``WebsocketHixie76.haproxy`` is left out: its handshake of 2010 is none that a server of RFC 6455 knows.
- Tests of its class ``WebsocketHixie76`` are played with RFC 6455, as main does it; version 8 is tried too.
- Paths with a percent escape are the same as without: WSGI servers decode them.
- ``/info`` has the four keys, and one more of our own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from primus_gevent.protocols.handshake import accept_key
from tests.support.client import TEXT, Client, frame
from tests.support.client import close as close_bytes
from tests.support.hosts import Server, serve, wait_until
from tests.support.sockjs import (
    GO_AWAY,
    JAVASCRIPT,
    NEVER_CACHED,
    PLAIN,
    PRELUDE,
    STILL_OPEN,
    SockJS,
    Stream,
    html_frames,
    jsonp_frame,
    messages_of,
    sse_frames,
)

ECHO, CLOSE = "/echo", "/close"
NO_WEBSOCKET, COOKIE_NEEDED = "/disabled_websocket_echo", "/cookie_needed_echo"
RESPONSE_LIMIT = 4096

IFRAME = re.compile(
    r"""<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="([^"]*)"></script>
  <script>
    document\.domain = document\.domain;
    SockJS\.bootstrap_iframe\(\);
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe\. It's used for cross domain magic\.</p>
</body>
</html>"""
)
HTMLFILE = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""


@pytest.fixture(scope="module", params=["own", "pywsgi", "gunicorn"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    transport = {"response_limit": RESPONSE_LIMIT, "disconnect_delay": 1.0}
    factory = "tests.support.sockjs_services:create"
    with serve(request.param, factory=factory, close_timeout=0.4, transport=transport) as server:
        yield server
        server.close_clients()
        server.wait_state(sparks=0, sessions=0, objects=0)


@pytest.fixture(autouse=True)
def _close_clients(server: Server) -> Iterator[None]:
    yield
    server.close_clients()


def session(server: Server, prefix: str = ECHO, **options: Any) -> SockJS:
    return SockJS(server, service=None, prefix=prefix, **options)


Answer = tuple[http.client.HTTPResponse, bytes]


def get(server: Server, path: str, **headers: str) -> Answer:
    return server.request(path, {name.replace("_", "-"): value for name, value in headers.items()})


def post(server: Server, path: str, body: bytes | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request(path, named, method="POST", body=body)


def expect_not_cached(response: Any) -> None:
    assert response.headers["cache-control"] == NEVER_CACHED
    assert response.headers.get("expires") is None
    assert response.headers.get("last-modified") is None


def expect_cors(response: Any, origin: str | None = None) -> None:
    headers = response.headers
    assert headers["access-control-allow-origin"] == (origin or "*")
    assert headers.get("access-control-allow-credentials") == ("true" if origin else None)
    assert "origin" in headers["vary"].lower()


def expect_no_cookie(response: Any) -> None:
    assert response.headers.get("set-cookie") is None


def expect_405(answer: Answer) -> None:
    response, body = answer
    assert response.status == 405
    assert response.getheader("Content-Type") is None
    assert response.getheader("Allow")
    assert body == b""


def expect_404(answer: Answer) -> None:
    assert answer[0].status == 404


def expect_options(server: Server, path: str, allowed: str) -> None:
    for origin in (None, "test", "null"):
        headers = {"Access-Control-Request-Method": "POST"} if origin else {}
        if origin is not None:
            headers["Origin"] = origin
        response, body = server.request(path, headers, method="OPTIONS")
        assert response.status == 204
        cache = response.getheader("Cache-Control", "")
        assert re.search("public", cache)
        assert re.search(r"max-age=[1-9][0-9]{6}", cache)
        assert response.getheader("Pragma") is None
        expires = parsedate_to_datetime(response.getheader("Expires", ""))
        sent = parsedate_to_datetime(response.getheader("Date", ""))
        assert (expires - sent).days >= 364
        assert int(response.getheader("Access-Control-Max-Age", "")) > 1_000_000
        assert response.getheader("Access-Control-Allow-Methods") == allowed
        assert body == b""
        expect_cors(response, origin)


# -- BaseUrlGreeting


def test_base_url_greeting(server: Server) -> None:
    for path in (ECHO, ECHO + "/"):
        response, body = get(server, path)
        assert response.status == 200
        assert response.getheader("Content-Type") == PLAIN
        assert body == b"Welcome to SockJS!\n"
        expect_no_cookie(response)


def test_base_url_not_found(server: Server) -> None:
    for suffix in ("/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a", "/a/"):
        expect_404(get(server, ECHO + suffix))


# -- IframePage


def expect_iframe(answer: Answer) -> str:
    response, body = answer
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/html; charset=UTF-8"
    cache = response.getheader("Cache-Control", "")
    assert "public" in cache
    assert re.search(r"max-age=[1-9][0-9]{6}", cache)
    assert response.getheader("Pragma") is None
    assert response.getheader("Expires")
    assert response.getheader("Last-Modified") is None
    found = IFRAME.fullmatch(body.decode().strip())
    assert found is not None
    etag = response.getheader("ETag", "")
    assert etag == f'"{hashlib.md5(body).hexdigest()}"'
    expect_no_cookie(response)
    return etag


def test_iframe_simple_url(server: Server) -> None:
    expect_iframe(get(server, ECHO + "/iframe.html"))


@pytest.mark.parametrize("version", ["-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"])
def test_iframe_versioned_url(server: Server, version: str) -> None:
    expect_iframe(get(server, f"{ECHO}/iframe{version}.html"))


@pytest.mark.parametrize("version", ["-a", "-", "-0.1.2"])
def test_iframe_queried_url(server: Server, version: str) -> None:
    expect_iframe(get(server, f"{ECHO}/iframe{version}.html?t=1234"))


@pytest.mark.parametrize(
    "name", ["iframe.htm", "iframe", "IFRAME.HTML", "IFRAME", "iframe.HTML", "iframe.xml", "iframe-/.html"]
)
def test_iframe_invalid_url(server: Server, name: str) -> None:
    expect_404(get(server, f"{ECHO}/{name}"))


def test_iframe_cacheability(server: Server) -> None:
    first = expect_iframe(get(server, ECHO + "/iframe.html"))
    assert expect_iframe(get(server, ECHO + "/iframe-0.1.html")) == first
    response, body = get(server, ECHO + "/iframe.html", If_None_Match=first)
    assert response.status == 304
    assert response.getheader("Content-Type") is None
    assert body == b""
    assert get(server, ECHO + "/iframe.html", If_None_Match='"other"')[0].status == 200


# -- InfoTest


def info(server: Server, prefix: str = ECHO) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(get(server, prefix + "/info")[1])
    return known


def test_info_basic(server: Server) -> None:
    response, body = get(server, ECHO + "/info", Origin="test")
    assert response.status == 200
    assert response.getheader("Content-Type") == "application/json; charset=UTF-8"
    expect_no_cookie(response)
    expect_not_cached(response)
    expect_cors(response, "test")
    document = json.loads(body)
    assert document["websocket"] is True
    assert document["cookie_needed"] is False
    assert document["origins"] == ["*:*"]
    assert type(document["entropy"]) is int
    assert set(document) == {"websocket", "origins", "cookie_needed", "entropy"}
    # Only our clients ask for this, and are told that they may count messages.
    assert json.loads(get(server, ECHO + "/info?resume=1")[1])["resume"] is True


def test_info_entropy(server: Server) -> None:
    first, second = info(server)["entropy"], info(server)["entropy"]
    assert type(first) is type(second) is int
    assert first != second
    assert 0 <= first < 2**32


def test_info_options(server: Server) -> None:
    expect_options(server, ECHO + "/info", "OPTIONS, GET")


def test_info_options_null_origin(server: Server) -> None:
    response, _ = server.request(ECHO + "/info", {"Origin": "null"}, method="OPTIONS")
    assert response.status == 204
    assert response.getheader("Access-Control-Allow-Origin") == "null"


def test_info_disabled_websocket(server: Server) -> None:
    assert info(server, NO_WEBSOCKET)["websocket"] is False


# -- SessionURLs


@pytest.mark.parametrize("path", ["/a/a{}", "/_/_{}", "/1/1{}", "/abcdefgh_i-j%20/abcdefg_i-j%20{}"])
def test_session_urls_any_value(server: Server, path: str) -> None:
    unique = session(server).key
    response, body = post(server, ECHO + path.format(unique) + "/xhr")
    assert (response.status, body) == (200, b"o\n")


@pytest.mark.parametrize("path", ["//", "/a./a", "/a/a.", "/./.", "/", "///"])
def test_session_urls_invalid_paths(server: Server, path: str) -> None:
    expect_404(get(server, ECHO + path + "/xhr"))
    expect_404(post(server, ECHO + path + "/xhr"))


def test_session_urls_ignoring_server_id(server: Server) -> None:
    client = session(server).open()
    client.send("a")
    client.server_id = "999"
    assert client.poll() == 'a["a"]'


# -- Protocol


def test_protocol_simple_session(server: Server) -> None:
    client = session(server)
    response = client.poll_response()
    assert (response.status, response.body) == (200, b"o\n")
    client.send("a")
    assert client.poll() == 'a["a"]'
    assert session(server).post('["a"]').status == 404
    held = client.send_poll()
    assert held.quiet(0.1)
    with_another = session(server, key=client.key)
    assert with_another.poll() == STILL_OPEN
    client.send("b")
    assert client.recv_poll() == 'a["b"]'


def test_protocol_close_session(server: Server) -> None:
    client = session(server, CLOSE).open()
    assert client.poll() == GO_AWAY
    assert client.poll() == GO_AWAY


# -- WebsocketHttpErrors


def upgrade_headers(**changed: str | None) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in changed.items()}


def test_websocket_http_method(server: Server) -> None:
    response, body = get(server, ECHO + "/0/0/websocket")
    assert response.status == 400
    assert body == b"Not a valid websocket request"
    assert response.getheader("Content-Type") is None


def test_websocket_invalid_connection_header(server: Server) -> None:
    client = server.client()
    assert client.handshake(ECHO + "/0/0/websocket", upgrade_headers(Connection="close")).status == 400


@pytest.mark.parametrize("upgrading", [False, True])
def test_websocket_invalid_method(server: Server, upgrading: bool) -> None:
    client = server.client()
    headers = client.handshake_headers() if upgrading else {}
    client.send_request(ECHO + "/0/0/websocket", {**headers, "Content-Length": "0"}, method="POST")
    response = client.recv_response()
    assert response.status == 405
    assert response.headers["allow"] == "GET"
    assert "content-type" not in response.headers
    assert response.body == b""


# -- Websocket


def test_websocket_transport(server: Server) -> None:
    client = session(server).open_websocket()
    client.send_text('["a"]')
    assert client.recv_messages() == ["a"]


def expect_closed(client: Client) -> None:
    """The server says goodbye, and hangs up when that is answered."""
    client.expect_close()
    client.send(close_bytes(1000))
    client.expect_eof()


def test_websocket_close(server: Server) -> None:
    client = session(server, CLOSE).open_websocket().socket
    assert client is not None
    assert client.recv_text() == GO_AWAY
    goodbye = client.expect_close(1000)
    assert goodbye.reason == "Normal closure"
    client.send(close_bytes(1000))
    client.expect_eof()


def test_websocket_empty_frame(server: Server) -> None:
    client = session(server).open_websocket()
    for text in ("", "[]", "[]", '["a"]'):
        client.send_text(text)
    assert client.recv_messages() == ["a"]


def test_websocket_reuse_session_id(server: Server) -> None:
    first = session(server).open_websocket()
    second = session(server, key=first.key).open_websocket()
    for client in (first, second):
        client.send_text('"a"')
        assert client.recv_messages() == ["a"]
    first.drop()
    second.drop()
    third = session(server, key=first.key).open_websocket()
    third.send_text('"a"')
    assert third.recv_messages() == ["a"]


def test_websocket_broken_json(server: Server) -> None:
    client = session(server).open_websocket()
    client.send_text('["a')
    assert client.socket is not None
    goodbye = client.socket.expect_close(3000)
    assert goodbye.reason == "Broken framing."


@pytest.mark.parametrize("version", ["8", "13"])
def test_websocket_headers_sanity(server: Server, version: str) -> None:
    key = "x3JJHMbDL1EzLkh9GBhXDw=="
    assert accept_key(key) == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    client = server.client()
    headers = upgrade_headers(Sec_WebSocket_Version=version, Sec_WebSocket_Key=key)
    response = client.handshake(ECHO + "/1/1/websocket", headers)
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    assert response.headers["connection"].lower() == "upgrade"
    assert response.headers["upgrade"].lower() == "websocket"
    assert "content-length" not in response.headers
    assert client.recv_text() == "o"


def test_websocket_version_8(server: Server) -> None:
    """Its messages are those of RFC 6455; the suite sends an empty one first."""
    client = session(server).open_websocket({"Sec-WebSocket-Version": "8"})
    client.send_text("")
    client.send_text('["a"]')
    assert client.recv_messages() == ["a"]
    client.send_text('["a')
    assert client.socket is not None
    client.socket.expect_close(3000)


def test_websocket_firefox_602_connection_header(server: Server) -> None:
    session(server).open_websocket({"Connection": "keep-alive, Upgrade"})


def test_websocket_that_is_disabled(server: Server) -> None:
    for path in ("/1/1/websocket", "/websocket"):
        expect_404(get(server, NO_WEBSOCKET + path))
        assert server.client().handshake(NO_WEBSOCKET + path).status == 404


# -- XhrPolling


def test_xhr_polling_options(server: Server) -> None:
    for name in ("xhr", "xhr_send"):
        expect_options(server, f"{ECHO}/abc/abc/{name}", "OPTIONS, POST")


def test_xhr_polling_transport(server: Server) -> None:
    client = session(server, headers={"Origin": "test"})
    response = client.poll_response()
    assert response.body == b"o\n"
    assert response.headers["content-type"] == JAVASCRIPT
    expect_cors(response, "test")
    expect_not_cached(response)
    response = client.post('["x"]')
    assert (response.status, response.body) == (204, b"")
    assert response.headers["content-type"] == PLAIN
    assert "content-length" not in response.headers
    expect_cors(response, "test")
    expect_not_cached(response)
    assert client.poll() == 'a["x"]'


def test_xhr_polling_invalid_session(server: Server) -> None:
    response = session(server).post('["x"]')
    assert response.status == 404


def test_xhr_polling_invalid_json(server: Server) -> None:
    client = session(server).open()
    for body, error in (('["x', b"Broken JSON encoding."), ("", b"Payload expected.")):
        response = client.post(body)
        assert (response.status, response.body) == (500, error)
        assert "content-type" not in response.headers
    client.send("a")
    assert client.poll() == 'a["a"]'


def test_xhr_polling_content_types(server: Server) -> None:
    client = session(server).open()
    types = [
        "text/plain",
        "T",
        "application/json",
        "application/xml",
        "",
        None,
        "application/json; charset=utf-8",
        "text/xml; charset=utf-8",
        "text/xml",
    ]
    for content_type in types:
        response = client.post('["a"]', content_type=content_type)
        assert (response.status, response.body) == (204, b""), content_type
    assert messages_of(client.poll()) == ["a"] * len(types)
    response = client.post('["a"]', content_type="application/x-www-form-urlencoded")
    assert (response.status, response.body) == (500, b"Payload expected.")


def test_xhr_polling_request_headers_cors(server: Server) -> None:
    for asked in ("a, b, c", "", None):
        for method in ("POST", "OPTIONS"):
            headers = {"Origin": "test"}
            if asked is not None:
                headers["Access-Control-Request-Headers"] = asked
            path = session(server).path("xhr")
            response, _ = server.request(path, headers, method=method)
            assert response.status == (200 if method == "POST" else 204)
            expect_cors(response, "test")
            assert response.getheader("Access-Control-Allow-Headers") == (asked or None)


def test_xhr_polling_sending_empty_frame(server: Server) -> None:
    client = session(server).open()
    client.send()
    client.send("a")
    assert client.poll() == 'a["a"]'


# -- XhrStreaming


def test_xhr_streaming_options(server: Server) -> None:
    expect_options(server, f"{ECHO}/abc/abc/xhr_streaming", "OPTIONS, POST")


def test_xhr_streaming_transport(server: Server) -> None:
    client = session(server, headers={"Origin": "test"})
    stream = client.stream()
    assert stream.response.headers["content-type"] == JAVASCRIPT
    expect_cors(stream.response, "test")
    expect_not_cached(stream.response)
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b"o\n"
    client.send("x")
    assert stream.chunk() == b'a["x"]\n'


def test_xhr_streaming_response_limit(server: Server) -> None:
    client = session(server)
    stream = client.stream()
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b"o\n"
    text = "x" * 128
    for _ in range(31):
        client.send(text)
        assert stream.chunk() == f'a["{text}"]\n'.encode()
    stream.expect_end()


# -- EventSource


def test_eventsource_transport(server: Server) -> None:
    client = session(server, headers={"Origin": "test"})
    stream = client.stream("eventsource")
    assert stream.response.headers["content-type"] == "text/event-stream"
    assert stream.response.headers["x-content-type-options"] == "nosniff"  # a script tag must not run it
    expect_cors(stream.response, "test")
    expect_not_cached(stream.response)
    assert stream.chunk() == b"\r\n"
    assert stream.chunk() == b"data: o\r\n\r\n"
    client.post('["  \\u0000\\n\\r "]')
    assert stream.chunk() == b'data: a["  \\u0000\\n\\r "]\r\n\r\n'
    client.send("50%")
    assert stream.chunk() == b'data: a["50%25"]\r\n\r\n'


def test_eventsource_response_limit(server: Server) -> None:
    client = session(server)
    stream = client.stream("eventsource")
    assert [stream.chunk(), stream.chunk()] == [b"\r\n", b"data: o\r\n\r\n"]
    client.send("x" * 4096)
    assert sse_frames(stream.chunk()) == ['a["' + "x" * 4096 + '"]']
    stream.expect_end()


# -- HtmlFile


def test_htmlfile_transport(server: Server) -> None:
    client = session(server)
    stream = client.stream("htmlfile", c="callback")
    assert stream.response.headers["content-type"] == "text/html; charset=UTF-8"
    expect_not_cached(stream.response)
    page = stream.chunk().decode()
    assert page.strip() == HTMLFILE
    assert len(page) > 1024
    assert stream.chunk() == b'<script>\np("o");\n</script>\r\n'
    client.send("x")
    assert stream.chunk() == b'<script>\np("a[\\"x\\"]");\n</script>\r\n'


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
def test_no_callback(server: Server, transport: str) -> None:
    response = session(server).poll_response(transport)
    assert (response.status, response.body) == (500, b'"callback" parameter required')
    assert "content-type" not in response.headers
    expect_not_cached(response)


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
@pytest.mark.parametrize("callback", ["%20", "*", "abc(", "abc%28"])
def test_invalid_callback(server: Server, transport: str, callback: str) -> None:
    client = session(server)
    response, body = get(server, client.path(transport) + "?c=" + callback)
    assert (response.status, body) == (500, b'invalid "callback" parameter')


def test_htmlfile_response_limit(server: Server) -> None:
    client = session(server)
    stream = client.stream("htmlfile", c="callback")
    stream.chunk()
    assert stream.chunk() == b'<script>\np("o");\n</script>\r\n'
    client.send("x" * 4096)
    assert html_frames(stream.chunk()) == ['a["' + "x" * 4096 + '"]']
    stream.expect_end()


# -- JsonPolling


def jsonp(client: SockJS) -> str:
    response = client.poll_response("jsonp", c="%63allback")
    assert response.status == 200
    assert response.headers["content-type"] == JAVASCRIPT
    assert response.headers["x-content-type-options"] == "nosniff"
    expect_not_cached(response)
    return jsonp_frame(response.body)


FORM = "application/x-www-form-urlencoded"


def test_jsonp_transport(server: Server) -> None:
    client = session(server)
    response, body = get(server, client.path("jsonp") + "?c=%63allback")
    assert response.status == 200
    assert body == b'/**/callback("o");\r\n'
    response_sent = client.post("d=%5B%22x%22%5D", "jsonp_send", FORM)
    assert (response_sent.status, response_sent.body) == (200, b"ok")
    assert response_sent.headers["content-type"] == PLAIN
    assert response_sent.headers["content-length"] == "2"
    expect_not_cached(response_sent)
    response, body = get(server, client.path("jsonp") + "?c=callback")
    assert response.getheader("Content-Type") == JAVASCRIPT
    assert body == b'/**/callback("a[\\"x\\"]");\r\n'
    expect_not_cached(response)


def test_jsonp_invalid_json(server: Server) -> None:
    client = session(server)
    jsonp_open(client)
    for body, error in (
        ("d=%5B%22x", b"Broken JSON encoding."),
        ("", b"Payload expected."),
        ("d=", b"Payload expected."),
        ("p=p", b"Payload expected."),
    ):
        response = client.post(body, "jsonp_send", FORM)
        assert (response.status, response.body) == (500, error)
        assert "content-type" not in response.headers
    assert client.post("d=%5B%22b%22%5D", "jsonp_send", FORM).body == b"ok"
    assert jsonp_next(client) == 'a["b"]'


def jsonp_next(client: SockJS) -> str:
    response = client.poll_response("jsonp", c="callback")
    assert response.status == 200
    return jsonp_frame(response.body)


def jsonp_open(client: SockJS) -> None:
    assert jsonp_next(client) == "o"


def test_jsonp_content_types(server: Server) -> None:
    client = session(server)
    jsonp_open(client)
    assert client.post("d=%5B%22%61bc%22%5D", "jsonp_send", FORM).body == b"ok"
    assert client.post('["%61bc"]', "jsonp_send", "text/plain").body == b"ok"
    assert messages_of(jsonp_next(client)) == ["abc", "%61bc"]


def test_jsonp_close(server: Server) -> None:
    client = session(server, CLOSE)
    jsonp_open(client)
    assert jsonp_next(client) == GO_AWAY
    assert jsonp_next(client) == GO_AWAY


def test_jsonp_sending_empty_frame(server: Server) -> None:
    client = session(server)
    jsonp_open(client)
    assert client.post("d=%5B%5D", "jsonp_send", FORM).body == b"ok"
    assert client.post("d=%5B%22x%22%5D", "jsonp_send", FORM).body == b"ok"
    assert jsonp_next(client) == 'a["x"]'


# -- JsessionidCookie


def test_cookie_basic(server: Server) -> None:
    response, body = get(server, COOKIE_NEEDED + "/info")
    expect_no_cookie(response)
    assert json.loads(body)["cookie_needed"] is True


@pytest.mark.parametrize(
    ("cookie", "value"), [(None, "dummy"), ("JSESSIONID=abcdef", "abcdef"), ("JSESSIONID=a;b=c", "a")]
)
@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"])
def test_cookie(server: Server, transport: str, cookie: str | None, value: str) -> None:
    headers = {} if cookie is None else {"Cookie": cookie}
    client = session(server, COOKIE_NEEDED, headers=headers)
    query = {"c": "callback"} if transport in ("htmlfile", "jsonp") else {}
    expected = f"JSESSIONID={value}; path=/"
    if transport in ("xhr", "jsonp"):
        response = client.poll_response(transport, **query)
    else:
        response = client.stream(transport, **query).response
    assert response.status == 200
    assert response.headers["set-cookie"] == expected
    body, kind = ('["x"]', "text/plain") if transport == "xhr" else ("d=%5B%5D", FORM)
    sent = client.post(body, "xhr_send" if transport == "xhr" else "jsonp_send", kind)
    assert sent.status in (200, 204)
    assert sent.headers["set-cookie"] == expected


# -- RawWebsocket


def test_raw_websocket_transport(server: Server) -> None:
    client = server.client().upgrade(ECHO + "/websocket")
    for text in ("Hello world!\uffff", "", "[]", '["x"]'):
        client.send(raw_text(text))
        assert client.recv_text() == text


def raw_text(text: str) -> bytes:
    return frame(TEXT, text.encode())


def test_raw_websocket_close(server: Server) -> None:
    client = server.client().upgrade(CLOSE + "/websocket")
    goodbye = client.expect_close(3000)
    assert goodbye.reason == "Go away!"
    client.send(close_bytes(3000))
    client.expect_eof()


# -- JSONEncoding


SERVER_SET = [
    code
    for first, last in ((0x200C, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F), (0xFFF0, 0xFFFF))
    for code in range(first, last + 1)
]


def test_json_encoding_xhr_server_encodes(server: Server) -> None:
    text = "".join(map(chr, [*SERVER_SET, 0xFF, 0x200B, 0x2010]))
    client = session(server).open()
    assert client.post(json.dumps([text], ensure_ascii=False)).status == 204
    expected = "".join(f"\\u{code:04x}" for code in SERVER_SET) + "\xff\u200b\u2010"
    assert client.poll() == f'a["{expected}"]'


def test_json_encoding_xhr_server_decodes(server: Server) -> None:
    # what a client may escape is every unit; surrogates in pairs, and alone
    codes = [code for code in range(0x10000) if not 0xD800 <= code <= 0xDFFF]
    escaped = "".join(f"\\u{code:04x}" for code in codes) + "\\ud83d\\ude00 \\udc00\\ud800"
    client = session(server).open()
    assert client.post(f'["{escaped}"]').status == 204
    (message,) = messages_of(client.poll())
    assert message == json.loads(f'"{escaped}"')


# -- HandlingClose


def test_handling_close_close_frame(server: Server) -> None:
    first = session(server, CLOSE)
    stream = first.stream()
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b"o\n"
    assert stream.chunk() == (GO_AWAY + "\n").encode()
    stream.expect_end()
    second = session(server, CLOSE, key=first.key).stream()
    assert second.chunk() == PRELUDE
    assert second.chunk() == (GO_AWAY + "\n").encode()
    second.expect_end()


def test_handling_close_close_request(server: Server) -> None:
    first = session(server)
    stream = first.stream()
    assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
    second = session(server, key=first.key)
    response = second.poll_response("xhr_streaming")
    assert response.body == PRELUDE + (STILL_OPEN + "\n").encode()
    first.send("x")
    assert stream.chunk() == b'a["x"]\n'


def test_handling_close_abort_xhr_streaming(server: Server) -> None:
    first = session(server)
    stream = first.stream()
    assert [stream.chunk(), stream.chunk()] == [PRELUDE, b"o\n"]
    second = session(server, key=first.key)
    assert second.poll_response("xhr_streaming").body.endswith((STILL_OPEN + "\n").encode())
    first.cut_poll()
    third = session(server, key=first.key).stream()
    assert [third.chunk(), third.chunk()] == [PRELUDE, b"o\n"]


def test_handling_close_abort_xhr_polling(server: Server) -> None:
    first = session(server).open()
    held = first.send_poll()
    assert held.quiet(0.1)
    assert session(server, key=first.key).poll() == STILL_OPEN
    first.cut_poll()
    assert session(server, key=first.key).poll() == "o"


# -- Http10


def test_http10_synchronous(server: Server) -> None:
    client = server.client()
    client.send_request(ECHO, {"Connection": "Keep-Alive"}, version="1.0")
    response = client.recv_response()
    assert response.status == 200
    assert "transfer-encoding" not in response.headers
    assert response.headers["content-length"] == "19"
    assert response.body == b"Welcome to SockJS!\n"


def test_http10_streaming(server: Server) -> None:
    client = session(server, CLOSE)
    connection = server.client()
    connection.send_request(
        client.path("xhr_streaming"), {"Content-Length": "0"}, method="POST", version="1.0"
    )
    response = connection.recv_response()
    assert response.status == 200
    assert "transfer-encoding" not in response.headers
    assert "content-length" not in response.headers
    assert response.body == PRELUDE + b"o\n" + (GO_AWAY + "\n").encode()


# -- Http11


def test_http11_synchronous(server: Server) -> None:
    client = server.client()
    for _ in range(2):
        response = client.request(ECHO, {"Connection": "Keep-Alive"})
        assert response.headers["content-length"] == "19"
        assert response.body == b"Welcome to SockJS!\n"


def test_http11_streaming(server: Server) -> None:
    client = session(server, CLOSE)
    stream = client.stream()
    assert stream.response.headers["transfer-encoding"] == "chunked"
    assert stream.chunk() == PRELUDE
    assert stream.chunk() == b"o\n"
    assert stream.chunk() == (GO_AWAY + "\n").encode()
    stream.expect_end()


# -- methods, of which the suite tries a few


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("", "GET"),
        ("/info", "OPTIONS, GET"),
        ("/iframe.html", "GET"),
        ("/chunking_test", "POST, OPTIONS"),
        ("/websocket", "GET"),
        ("/a/b/websocket", "GET"),
        ("/a/b/xhr", "POST, OPTIONS"),
        ("/a/b/xhr_streaming", "POST, OPTIONS"),
        ("/a/b/xhr_send", "POST, OPTIONS"),
        ("/a/b/eventsource", "GET"),
        ("/a/b/htmlfile", "GET"),
        ("/a/b/jsonp", "GET"),
        ("/a/b/jsonp_send", "POST"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_methods(server: Server, path: str, allowed: str, slash: str) -> None:
    for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS"):
        if method in allowed:
            continue
        answer = server.request(ECHO + path + slash, method=method)
        expect_405(answer)
        assert answer[0].getheader("Allow") == allowed


def test_chunking_test(server: Server) -> None:
    client = server.client()
    client.send_request(ECHO + "/chunking_test", {"Content-Length": "1"}, method="POST", body=b"x")
    stream = Stream(client)
    assert stream.response.headers["content-type"] == JAVASCRIPT
    assert stream.chunk() == b"h\n"
    assert stream.chunk() == b" " * 2048 + b"h\n"
    for _ in range(5):
        assert stream.chunk() == b"h\n"
    stream.expect_end()
    expect_options(server, ECHO + "/chunking_test", "OPTIONS, POST")


def test_session_that_is_over_can_begin_again(server: Server) -> None:
    """The close frame is there for so long as somebody asks for it, and then the key is free."""
    client = session(server, CLOSE).open()
    assert client.poll() == GO_AWAY
    client.drop()
    again = session(server, CLOSE, key=client.key)
    assert again.poll() == GO_AWAY
    wait_until(lambda: post(server, client.path("xhr_send"), b'["x"]')[0].status == 404)
    assert again.poll() == "o"
