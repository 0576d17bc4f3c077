"""Middleware layers over real sockets: what they answer or add, for requests and for upgrades."""

from __future__ import annotations

import os

import pytest

from tests.support.hosts import Server, wait_until


@pytest.fixture
def server(guarded: Server) -> Server:
    return guarded


# What a layer answers: how it is asked to, the status, the type, the body, and the reason of a Close frame.
ANSWERS = [
    ("true", 402, "text/plain; charset=utf-8", b"pay", "pay"),
    ("response", 418, "text/html; charset=utf-8", b"<b>", "I'M A TEAPOT"),
    ("stream", 402, "text/plain; charset=utf-8", b"0 1 2 ", "0 1 2"),
    ("status", 200, "text/plain; charset=utf-8", b"ok", "ok"),
    ("next", 507, "application/json", b'{"error":"full"}', "full"),
    ("end", 200, "text/plain; charset=utf-8", b"ended", "ended"),
    ("wsgi", 406, "text/plain", b"wsgi", "wsgi"),
]


def test_answers_of_layers(server: Server) -> None:
    """All on one connection."""
    with server.client() as client:
        for how, status, kind, body, _ in ANSWERS:
            for method in ("GET", "HEAD"):
                response = client.request(f"/primus?layer={how}", method=method)
                assert (response.status, response.headers["content-type"]) == (status, kind)
                assert response.body == (b"" if method == "HEAD" else body)
                assert response.headers["pragma"] == "no-cache"
                assert "x-evil" not in response.headers
        assert client.request("/").body == b"wrapped app"


def test_answers_to_upgrades(server: Server) -> None:
    for how, status, kind, body, reason in ANSWERS:
        with server.client() as client:
            response = client.handshake(f"/primus?layer={how}")
            if server.kind.upgraded:
                assert client.expect_refusal(final=status < 500).reason == reason
                client.fin()
                client.expect_eof()
                continue
            assert (response.status, response.headers["content-type"], response.body) == (status, kind, body)
            assert "x-evil" not in response.headers
            if server.kind.gunicorn and "hidden" in server.kind.factory:
                assert client.request("/").body == b"wrapped app"
            else:
                client.expect_eof()


def test_headers_of_layers(server: Server) -> None:
    """They are part of every answer, the 101 included; those that cannot be sent are left out everywhere."""
    with server.client() as client:
        response = client.request("/primus?layer=headers", {"Origin": "http://localhost"})
        assert response.status == 426
        assert (response.headers["vary"], response.headers["x-wsgi"]) == ("Origin, Cookie", "yes")
    with server.client() as client:
        sent = client.handshake("/primus?layer=headers&service=user")
        assert sent.status == 101
        if not server.kind.upgraded:
            assert (sent.headers["set-cookie"], sent.headers["x-layer"]) == ("seen=1; Path=/", "é")
            assert sent.headers["sec-websocket-accept"] != "forged"
            assert not {"x-evil", "x-worse", "x-bad"} & sent.headers.keys()
        assert client.recv_message() == ["ann", "marked"]
        client.close_properly()
    wait_until(lambda: "left out the header" in server.log())


def test_a_layer_that_raises(server: Server) -> None:
    """A peer is told nothing of it; the log, all, and once for each request."""
    tag = os.urandom(4).hex()
    server.expected.append(f"HandlerFailure: the layer was sent {tag}")
    with server.client() as client:
        response = client.request(f"/primus?layer=raise&tag={tag}")
        assert (response.status, response.body) == (500, b'{"error":"Internal Server Error"}')
        response = client.handshake(f"/primus?layer=raise&tag={tag}")
        if server.kind.upgraded:
            assert client.expect_refusal(final=False).reason == "Internal Server Error"
        else:
            assert (response.status, response.body) == (500, b'{"error":"Internal Server Error"}')
    wait_until(lambda: server.log().count(f"HandlerFailure: the layer was sent {tag}") == 2)


def test_the_documents_pass_no_layer_behind_them(server: Server) -> None:
    with server.client() as client:
        for path in ("/primus/spec", "/primus/primus.js", "/done/spec"):
            response = client.request(f"{path}?layer=true&auth=text")
            assert (response.status, response.headers["cache-control"]) == (200, "no-cache")
            assert "x-wsgi" not in response.headers
            assert "pragma" not in response.headers
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
        assert client.request("/primus/spec", offer).status == 200
        assert client.request("/").body == b"wrapped app"
