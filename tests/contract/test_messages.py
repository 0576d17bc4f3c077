"""What a connection is for: messages both ways, and what a handler knows about its client."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from tests.support.client import BINARY, CONTINUATION, PING, PONG, TEXT, Client, close, frame, text
from tests.support.hosts import Server, serve, wait_until


@pytest.mark.parametrize("service", ["echo", "listen"])
def test_echo(server: Server, service: str) -> None:
    messages = ["text", "", 0, 1.5, True, False, None, [1, [2]], {"a": {"b": "ü€😀\u2028\u2029"}}, "primus"]
    with server.spark(service) as client:
        for message in messages:
            client.send_message(message)
            assert client.recv_message() == message
        client.close_properly()


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 1_000_000])
def test_echo_of_a_size(server: Server, size: int) -> None:
    with server.spark() as client:
        message = "x" * (size - 2)  # and two quotes
        client.send_message(message)
        assert client.recv_message() == message
        client.close_properly()


def test_fragments_with_a_ping_between_them(server: Server) -> None:
    with server.spark() as client:
        client.send(frame(TEXT, b'"one ', fin=False) + frame(PING, b"are you there"))
        client.send(frame(CONTINUATION, b'two"'))
        received = client.recv_frame()
        assert (received.opcode, received.payload) == (PONG, b"are you there")
        assert client.recv_message() == "one two"
        client.close_properly()


def test_byte_by_byte(server: Server) -> None:
    with server.spark() as client:
        for byte in text("slowly"):
            client.send(bytes([byte]))
        assert client.recv_message() == "slowly"
        client.close_properly()


def test_binary_frame_with_json(server: Server) -> None:
    """JSON is text: bytes reach the application as they are, and go back as Node writes a Buffer."""
    with server.spark() as client:
        client.send(frame(BINARY, b'"1"'))
        assert client.recv_message() == {"type": "Buffer", "data": [34, 49, 34]}
        client.close_properly()


def test_burst_from_the_client_keeps_its_order(server: Server) -> None:
    with server.spark() as client:
        client.send(b"".join(map(text, range(1000))))
        assert [client.recv_message() for _ in range(1000)] == list(range(1000))
        client.close_properly()


def test_burst_from_the_server_keeps_its_order(server: Server) -> None:
    with server.spark("count") as client:
        client.send_message(5000)
        assert [client.recv_message() for _ in range(5000)] == list(range(5000))
        client.close_properly()


def test_writes_leave_together(server: Server) -> None:
    """An answer does not wait 40 ms for an acknowledgement: TCP_NODELAY is set, whatever the server."""
    with server.spark() as client:
        seconds = []
        for number in range(50):
            started = time.monotonic()
            client.send_message(number)
            assert client.recv_message() == number
            seconds.append(time.monotonic() - started)
        assert min(seconds[5:]) < 0.035  # the others may wait for a busy machine
        client.close_properly()


def test_broadcast(server: Server) -> None:
    clients = [server.spark("broadcast") for _ in range(10)]
    server.wait_state(sparks=10)
    clients[0].send_message("to all")
    assert [client.recv_message() for client in clients] == ["to all"] * 10
    for client in clients:
        client.close_properly()


def test_what_a_handler_knows(server: Server) -> None:
    headers = {"X-Token": "secret", "User-Agent": "test"}
    with server.client() as client:
        client.upgrade("/primus?service=info&name=J%C3%BCrgen&empty=", headers)
        port = client.sock.getsockname()[1]
        known = client.recv_message()
        assert known["query"] == {"service": "info", "name": "Jürgen", "empty": ""}
        assert known["headers"]["x-token"] == "secret"
        assert known["headers"]["user-agent"] == "test"
        assert known["ip"] == "127.0.0.1"
        assert known["port"] == port
        assert known["path"] == "/primus"
        client.send(text("primus::id::"))
        assert client.recv_message() == f"primus::id::{known['id']}"
        client.close_properly()


@pytest.mark.parametrize("host", ["gunicorn", "gunicorn-pywsgi"])
def test_unix_socket(host: str, tmp_path: pathlib.Path) -> None:
    """Behind a proxy on the same machine there is no address."""
    path = str(tmp_path / "socket")
    with serve(host, arguments=["--bind", f"unix:{path}"]):
        wait_until(lambda: os.path.exists(path))
        with Client(path) as client:
            client.upgrade("/primus?service=info")
            known = client.recv_message()
            assert known["query"] == {"service": "info"}
            client.send(text("primus::id::"))
            assert client.recv_message() == f"primus::id::{known['id']}"
            client.close_properly()


def test_ids_differ(server: Server) -> None:
    ids = set()
    for _ in range(5):
        with server.spark("info") as client:
            ids.add(client.recv_message()["id"])
            client.close_properly()
    assert len(ids) == 5


def test_heartbeat_of_the_client(server: Server) -> None:
    """Also where the handler does not read."""
    for service in ("echo", "idle", "deaf"):
        with server.spark(service) as client:
            client.send(text("primus::ping::1400000000123"))
            assert client.recv_message() == "primus::pong::1400000000123"
            client.close_properly()


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4000, 4999])
def test_close_code_of_the_server(server: Server, code: int) -> None:
    with server.spark("close-code") as client:
        client.send_message(code)
        assert client.expect_close(code).reason == "as you wish"
        client.send(close(code))
        client.expect_eof()


def test_every_connection_is_counted_once(server: Server) -> None:
    clients = [server.spark("idle") for _ in range(5)]
    state = server.wait_state(sparks=5)
    assert state["connected"] == 5
    for client in clients:
        client.close_properly()
    counts = server.wait_state(sparks=0, counts=lambda counts: counts.get("disconnection") == 5)["counts"]
    assert counts == {"connection": 5, "disconnection": 5}


def test_handler_that_returns_leaves_the_spark_open(server: Server) -> None:
    with server.spark("idle") as client:
        server.wait_state(sparks=1)
        client.send(text("primus::ping::1"))
        assert client.recv_message() == "primus::pong::1"
        assert server.state()["sparks"] == 1
        client.close_properly()
