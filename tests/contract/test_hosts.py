"""The host adapters alone: bytes in, bytes out, and what a server does with a connection it gave away."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.http.wsgi import Response

from primus_gevent import hosts
from primus_gevent.errors import HostError
from tests.support.client import Client
from tests.support.hosts import HOSTS, Server, serve, wait_until


@pytest.fixture(scope="module", params=HOSTS)
def raw_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    factory = HOSTS[request.param].factory.replace("support.app", "support.raw")
    with serve(request.param, factory=factory) as server:
        take(server).sock.close()
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def raw(raw_server: Server) -> Iterator[Server]:
    before = raw_server.baseline()
    yield raw_server
    raw_server.close_clients()
    raw_server.wait_baseline(before)
    assert raw_server.tracebacks() == []


def take(server: Server, early: bytes = b"", client: Client | None = None) -> Client:
    """A connection that has been taken over; checks what the server says of itself."""
    client = client or server.client()
    response = client.handshake("/", early=early)
    assert response.status == 101
    if not server.kind.upgraded:
        assert response.headers["x-host"] == server.kind.name
    attached = server.kind.tls or "writeless" in server.kind.factory
    if server.kind.upgraded:
        attached = server.kind.tls
    if (
        server.kind.gunicorn
        and "hidden" in server.kind.factory
        and not hasattr(Response, "_response_omits_body")
    ):
        attached = True  # up to gunicorn 23
    expected = f"<{'attached' if attached else 'detached'} {'tls' if server.kind.tls else 'tcp'}>".encode()
    assert client.take(len(expected), wait_limit()) == expected
    return client


def wait_limit() -> float:
    return time.monotonic() + 10


def test_echo_and_server_end(raw: Server) -> None:
    with take(raw, b"early") as client:
        client.send(b"hello")
        assert client.take(10, wait_limit()) == b"earlyhello"
        client.send(b"quit")
        client.expect_eof()


def test_log_says_101(raw: Server) -> None:
    count = raw.log().count('HTTP/1.1" 101')
    with take(raw) as client:
        client.send(b"quit")
        client.expect_eof()
    if raw.kind.upgraded:
        return  # gevent-websocket logs no upgrade
    if raw.kind.server == "gevent_pywsgi" and "writeless" in raw.kind.factory:
        return
    wait_until(lambda: raw.log().count('HTTP/1.1" 101') == count + 1, 5, raw.log)


def test_client_fin(raw: Server) -> None:
    with take(raw) as client:
        client.fin()
        client.expect_eof()


def test_client_reset(raw: Server) -> None:
    for _ in range(3):
        take(raw).reset()


def test_reset_before_the_answer(raw: Server) -> None:
    for _ in range(5):
        client = raw.client()
        client.send_request("/", client.handshake_headers())
        client.reset()


def test_end_and_unread_bytes(raw: Server) -> None:
    """They must not become a request, and with it a 400."""
    with take(raw) as client:
        client.send(b"quit")
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        except ConnectionError:
            return  # the server was quicker
        assert client.rest() == b""


def test_early_bytes_of_every_size(raw: Server) -> None:
    """Partly in the server's buffer, partly in the kernel's, and with TLS partly in OpenSSL's."""
    for size in (1, 100, 4000, 7900, 8192, 16384, 40_000):
        early = bytes(index % 251 for index in range(size))
        with take(raw, early) as client:
            assert client.take(size, wait_limit()) == early
            client.send(b"quit")
            client.expect_eof()


def test_requests_before(raw: Server) -> None:
    with raw.client() as client:
        assert client.request("/").body == b"hello"
        assert client.request("/").body == b"hello"
        take(raw, b"early", client)
        assert client.take(5, wait_limit()) == b"early"
        client.send(b"quit")
        client.expect_eof()


def test_upgrade_with_a_body(raw: Server) -> None:
    if raw.kind.upgraded:
        pytest.skip("gevent-websocket has answered already")
    for headers in ({"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}):
        with raw.client() as client:
            response = client.handshake("/", headers)
            assert response.status == 501
            assert b"body" in response.body


def test_http_1_0(raw: Server) -> None:
    if raw.kind.upgraded:
        pytest.skip("gevent-websocket has answered already")
    with raw.client() as client:
        client.send_request("/", client.handshake_headers(), version="1.0")
        response = client.recv_response()
        assert response.status == 501
        assert b"HTTP/1.1" in response.body


def test_close_before_anything(raw: Server) -> None:
    if raw.kind.tls and raw.kind.server != "own":
        raw.expected.append("SSLEOFError")  # gevent and gunicorn log every failed handshake with a traceback
    if raw.kind.server == "gevent_pywsgi":
        raw.expected.append("'NoneType' object has no attribute 'get'")  # gunicorn's log of half a request
    raw.client().sock.close()
    with raw.client() as client:
        client.send(b"GET / HT")
    with raw.client() as client:
        client.send_request("/", {"Connection": "close"})
        assert client.recv_response().body == b"hello"
        client.expect_eof()


def environ(**values: Any) -> dict[str, Any]:
    return {"SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "Other/1.0", **values}


def test_unknown_server() -> None:
    with pytest.raises(HostError, match=r"Other/1\.0.*gunicorn -k gevent"):
        hosts.find(environ(), lambda *_: None)


def test_http_2() -> None:
    with pytest.raises(HostError, match="not from HTTP/2"):
        hosts.find(environ(SERVER_PROTOCOL="HTTP/2.0"), lambda *_: None)


def test_sync_worker_of_gunicorn() -> None:
    """Its socket would block the whole process."""
    with socket.socket() as sock, pytest.raises(HostError):
        hosts.find(environ(**{"gunicorn.socket": sock}), lambda *_: None)


def test_strip() -> None:
    full = environ(**{"wsgi.input": object(), "gunicorn.socket": object(), "HTTP_HOST": "localhost"})
    assert hosts.strip(full) == environ(HTTP_HOST="localhost")
    assert "wsgi.input" in full


def test_gevent_websocket_is_not_imported() -> None:
    program = (
        "import primus_gevent.hosts, primus_gevent.hosts.server, sys; print('geventwebsocket' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
