"""The authorization hook over real sockets: what a refused client gets, and what is left of it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.support.client import Client, text
from tests.support.hosts import Server, wait_until

# Path of a refused request, its status, the message in its body, and the challenge. The hook of ``/primus``
# blocks, the one of ``/done`` calls back.
REFUSALS = [
    ("/primus?auth=text", 401, "go away", None),
    ("/primus?auth=challenge", 401, "log in", 'Basic realm="x"'),
    ("/primus?auth=injection", 401, "a\r\nb", "Basic X-Evil: 1"),
    ("/primus?auth=abort", 403, "not you", None),
    ("/done?auth=challenge", 401, "log in", 'Basic realm="x"'),
    ("/done?auth=later", 401, "later", None),
    ("/done?auth=twice", 401, "first", None),
]
NO_CACHE = "no-store, no-cache, must-revalidate, max-age=0"


@pytest.fixture
def server(guarded: Server) -> Server:
    return guarded


def body_of(message: str) -> bytes:
    return json.dumps({"error": message}, separators=(",", ":")).encode()


def check(response: Any, status: int, message: str, challenge: str | None) -> None:
    assert response.status == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(body_of(message)))
    assert response.headers.get("www-authenticate") == challenge
    assert "x-evil" not in response.headers


def expect_refused(
    server: Server, client: Client, path: str, status: int, message: str, challenge: str | None, early: bytes
) -> None:
    """A handshake that is refused, and nothing behind the refusal."""
    response = client.handshake(path, early=early)
    if server.kind.upgraded:
        assert response.status == 101
        assert client.expect_refusal(final=status < 500).reason == message
        client.fin()
    else:
        check(response, status, message, challenge)
        assert response.body == body_of(message)
        if "hidden" not in server.kind.factory or not server.kind.gunicorn:
            assert response.headers["connection"] == "close"
        elif not early:
            assert client.request("/").body == b"wrapped app"
            return
    client.expect_eof()


def test_refused_requests(server: Server) -> None:
    """All on one connection: each answer is where it belongs, whatever the method."""
    with server.client() as client:
        for path, status, message, challenge in REFUSALS:
            for method in ("GET", "HEAD"):
                response = client.request(path, {"Content-Length": "0"}, method=method)
                check(response, status, message, challenge)
                assert response.body == (b"" if method == "HEAD" else body_of(message))
                assert response.headers["cache-control"] == NO_CACHE
        client.send(b"POST /primus?auth=text HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /")
        check(client.recv_response(), *REFUSALS[0][1:])
        check(client.request("/primus?auth=text", method="OPTIONS"), *REFUSALS[0][1:])
        assert client.request("/primus/spec?auth=text").status == 200
        assert client.request("/primus").status == 426
        assert client.request("/").body == b"wrapped app"


@pytest.mark.parametrize("early", [b"", text("x") * 3], ids=["", "early frames"])
def test_refused_upgrades(server: Server, early: bytes) -> None:
    # gunicorn takes the frames for a slow request, which costs two seconds, where nobody can tell it better.
    slow = early and server.kind.gunicorn and "hidden" in server.kind.factory
    for path, status, message, challenge in REFUSALS[: 1 if slow else None]:
        with server.client() as client:
            if not early:
                assert client.request("/").body == b"wrapped app"  # not the first on its connection
            expect_refused(server, client, path, status, message, challenge, early)
    assert server.state()["counts"].get("connection", 0) == 0


def test_a_hook_that_never_says_anything(server: Server) -> None:
    message = "The authorization took too long"
    with server.client() as plain, server.client() as client:
        plain.send_request("/done?auth=never")
        expect_refused(server, client, "/done?auth=never", 503, message, None, b"")
        check(plain.recv_response(), 503, message, None)
        assert plain.request("/").body == b"wrapped app"
    server.wait_log("took longer than 0.4 s")


def test_redirected(server: Server) -> None:
    for path in ("/primus?auth=redirect", "/done?auth=redirect"):
        with server.client() as client:
            assert client.request(path).headers["location"] == "/login"
        with server.client() as client:
            response = client.handshake(path)
            if server.kind.upgraded:
                assert client.expect_refusal().reason == "FOUND"
            else:
                assert (response.status, response.headers["location"]) == (302, "/login")


@pytest.mark.parametrize("pathname", ["/primus", "/done"])
def test_a_hook_that_raises(server: Server, pathname: str) -> None:
    """A peer is told nothing of it; the log, all, and once for each request."""
    tag = os.urandom(4).hex()
    server.expected.append(f"HandlerFailure: the hook was sent {tag}")
    path = f"{pathname}?auth=raise&tag={tag}"
    with server.client() as client:
        response = client.request(path)
        check(response, 500, "Internal Server Error", None)
        assert client.request("/").body == b"wrapped app"
    with server.client() as client:
        expect_refused(server, client, path, 500, "Internal Server Error", None, b"")
    wait_until(lambda: server.log().count(f"HandlerFailure: the hook was sent {tag}") == 2)


def test_who_is_let_in(server: Server) -> None:
    """What the hook has set stays with the connection."""
    for _ in range(2):
        with server.spark("user") as client:
            assert client.recv_message() == ["ann", "marked"]
            client.close_properly()
    with server.client() as client:
        assert client.request("/done?auth=yes").status == 426


def test_messages_wait_for_the_hook(server: Server) -> None:
    with server.client() as client:
        client.send_request("/primus?auth=block&service=echo", client.handshake_headers())
        client.send(text("one") + text("two"))
        wait_waiting(server, 1)
        server.control("go")
        assert client.recv_response().status == 101
        assert [client.recv_message(), client.recv_message()] == ["one", "two"]
        client.close_properly()


def wait_waiting(server: Server, count: int) -> None:
    server.wait_state(counts=lambda counts: counts.get("waiting", 0) == count)


@pytest.mark.parametrize("end", ["reset", "fin", "close"])
def test_a_client_that_leaves_while_the_hook_blocks(server: Server, end: str) -> None:
    """The fixture sees to it that nothing is left of them."""
    if server.kind.tls and server.kind.server == "pywsgi":
        server.expected.append("SSLEOFError")  # its own: it logs each answer that nobody waits for any more
    for upgrade in (True, False):
        client = server.client()
        headers = client.handshake_headers() if upgrade else {}
        client.send_request("/primus?auth=block&service=echo", headers)
        if end != "close" and server.kind.upgraded and upgrade:
            assert client.recv_response().status == 101
        wait_waiting(server, 1)
        {"reset": client.reset, "fin": client.fin, "close": client.sock.close}[end]()
        server.control("go")
        wait_waiting(server, 0)
        server.control("reset")
    server.wait_state(sparks=0)
