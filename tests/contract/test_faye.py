"""The transformer `faye`: what the suite asks of `websockets`, asked of the other reader of that wire.

Its tests are those of three other modules, with servers of another transformer. What is further down is about
what differs, or could.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator

import pytest

from tests.contract import test_bounds, test_drain, test_endings, test_messages
from tests.contract.conftest import leaves_nothing
from tests.support.client import BINARY, CONTINUATION, TEXT, frame
from tests.support.hosts import Server, serve

HOSTS = (
    "own",
    "own-tls",
    "pywsgi",
    "gunicorn",
    "gunicorn-pywsgi",
    "gevent-websocket",
    "gunicorn-gevent-websocket",
)

for module in (test_messages, test_endings, test_bounds):
    for name, function in vars(module).items():
        if name.startswith("test_") and "server" in inspect.signature(function).parameters:
            globals()[name] = function


@pytest.fixture(scope="session", params=HOSTS)
def faye_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, transformer="faye", close_timeout=0.4) as server:
        with server.spark() as client:
            client.send_message("warm up")
            client.recv_text()
            client.close_properly()
        server.wait_state(sparks=0, objects=0)
        yield server


@pytest.fixture
def server(faye_server: Server) -> Iterator[Server]:
    yield from leaves_nothing(faye_server)


def test_the_transformer_is_the_one_under_test(server: Server) -> None:
    response, body = server.request("/primus/spec")
    assert response.status == 200
    assert b'"transformer":"faye"' in body.replace(b" ", b"")


def test_text_in_fragments(server: Server) -> None:
    """A character may be cut between two frames; what cannot be one ends the connection with its frame."""
    one, two, three = b'"\xf0', b"\x9f\x98", b'\x80"'
    with server.spark() as client:
        client.send(frame(TEXT, one, fin=False) + frame(CONTINUATION, two, fin=False))
        client.send(frame(CONTINUATION, three))
        assert client.recv_message() == "😀"
        client.send(frame(TEXT, one, fin=False) + frame(CONTINUATION, b"x", fin=False))
        client.expect_close(1007)
        client.fin()
        client.expect_eof()


def test_bytes(server: Server) -> None:
    with server.spark("binary") as client:
        for size in (0, 1, 125, 126, 65535, 65536, 1_000_000):
            payload = bytes(index % 251 for index in range(size % 1000)) + b"\xff" * (size - size % 1000)
            client.send(frame(BINARY, payload))
            received = client.recv_frame()
            assert (received.opcode, received.payload) == (BINARY, payload)
        client.close_properly()


def test_a_length_that_is_longer_than_need_be_is_read(server: Server) -> None:
    """gevent-websocket does not mind, against RFC 6455, 5.2; `websockets` does."""
    with server.spark() as client:
        message = frame(TEXT, b'"x"')
        client.send(message[:1] + b"\xfe\x00\x03" + message[2:])
        assert client.recv_message() == "x"
        client.close_properly()


def test_an_offer_to_compress_is_not_taken(server: Server) -> None:
    with server.client() as client:
        response = client.handshake(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.headers
        client.send_message("plain")
        assert client.recv_message() == "plain"
        client.close_properly()


@pytest.mark.parametrize("host", ["own", "gevent-websocket"])
def test_no_room(host: str) -> None:
    with serve(host, transformer="faye", max_connections=1) as server, server.spark() as first:
        server.wait_state(sparks=1)
        with server.client() as client:
            response = client.handshake()
            if server.kind.upgraded:
                client.expect_close(1013)
            else:
                assert (response.status, response.headers["retry-after"]) == (503, "1")
        first.close_properly()


# Those of the other modules that start servers of their own.
LIMITS = (
    test_bounds.test_broadcast_does_not_wait_for_a_slow_reader,
    test_bounds.test_dead_peer,
    test_bounds.test_client_of_the_newer_kind_is_pinged,
    test_bounds.test_reader_that_stops_for_ever,
)


@pytest.mark.parametrize("host", ["own", "own-tls"])
@pytest.mark.parametrize("test", LIMITS)
def test_limits(test: Callable[[str], None], host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_bounds, "serve", functools.partial(serve, transformer="faye"))
    test(host)


@pytest.mark.parametrize("host", ["own", "own-tls", "gunicorn", "gunicorn-gevent-websocket"])
def test_sigterm(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_drain, "serve", functools.partial(serve, transformer="faye"))
    test_drain.test_sigterm(host)
