"""`Primus.destroy` on a server of ours and on one that somebody else made (specification, "Destruction")."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.pywsgi import WSGIServer

from primus_gevent import Primus
from tests.support.client import Client, close


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the wrapped app"]


@pytest.fixture
def primus() -> Iterator[Primus]:
    made = Primus(app, close_timeout=1)
    yield made
    made.destroy()


@pytest.fixture(params=["ours", "pywsgi"])
def port(request: pytest.FixtureRequest, primus: Primus) -> Iterator[int]:
    """Of a server that serves `primus`, and has answered a request of it."""
    if request.param == "ours":
        server: Any = primus.listen(0, "127.0.0.1")
    else:
        server = WSGIServer(("127.0.0.1", 0), primus, log=None)
        server.start()
    assert get(server.server_port, "/primus/spec")[0] == 200
    yield server.server_port
    server.stop(timeout=1)


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Blocking sockets in a thread of their own: the test's process is the server."""
    return gevent.get_hub().threadpool.spawn(function, *args).get(timeout=20)


def get(port: int, path: str) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    answer: tuple[int, bytes] = in_thread(ask)
    return answer


def connected(port: int) -> Client:
    def connect() -> Client:
        return Client(("127.0.0.1", port)).upgrade()

    client: Client = in_thread(connect)
    return client


def answer_close(client: Client) -> None:
    with client:
        client.expect_close(1000)
        client.send(close(1000))
        client.expect_eof()


def is_refused(port: int) -> bool:
    def knock() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    refused: bool = in_thread(knock)
    return refused


def test_two_servers_of_one_primus(primus: Primus) -> None:
    """HTTP beside HTTPS, say: they end together."""
    ports = [primus.listen(0, "127.0.0.1").server_port for _ in range(2)]
    assert primus.address[1] == ports[1]
    for port in ports:
        assert get(port, "/primus/spec")[0] == 200
    gevent.spawn(primus.destroy)
    with gevent.Timeout(10):
        primus.serve_forever()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            gevent.socket.create_connection(("127.0.0.1", port))


def test_the_server_is_closed(primus: Primus, port: int) -> None:
    primus.destroy()
    assert is_refused(port)


def test_the_server_is_kept_and_the_app_answers_everything(primus: Primus, port: int) -> None:
    primus.destroy(close=False)
    assert get(port, "/primus/spec") == (200, b"the wrapped app")
    assert get(port, "/") == (200, b"the wrapped app")


def test_reconnect_closes_the_server(primus: Primus, port: int) -> None:
    primus.destroy(close=False, reconnect=True)
    assert is_refused(port)


def test_the_order_of_events(primus: Primus, port: int) -> None:
    seen: list[str] = []

    @primus.on("connection")
    def connection(spark: Any) -> None:
        seen.append("connection")
        spark.on("end", lambda: seen.append("end"))

    primus.on("disconnection", lambda spark: seen.append("disconnection"))

    @primus.on("close")
    def waits(options: Any, next: Callable[[], None]) -> None:  # noqa: A002
        seen.append("close")
        gevent.spawn(lambda: (seen.append("waited for"), next()))

    primus.on("close", lambda options: seen.append(f"close {options['timeout']}"))
    client = connected(port)
    with gevent.Timeout(10):
        while "connection" not in seen:
            gevent.sleep(0.01)
    closing = gevent.spawn(primus.destroy, timeout=0.05)
    last_words = in_thread(client.recv_text)
    in_thread(answer_close, client)
    closing.get(timeout=10)
    assert seen == ["connection", "disconnection", "end", "close", "waited for", "close 0.05"]
    assert last_words == '"primus::server::close"'
    assert primus.listeners("close") == []


def test_a_second_destroy_does_nothing(primus: Primus, port: int) -> None:
    calls: list[Any] = []
    primus.on("close", calls.append)
    primus.destroy()
    primus.destroy()
    primus.end()
    assert len(calls) == 1


def test_from_inside_a_request() -> None:
    """The greenlet that answers it is one of those that the server would wait for."""
    primus = Primus(lambda environ, start_response: (primus.destroy(), app(environ, start_response))[1])
    server = WSGIServer(("127.0.0.1", 0), primus, log=None, spawn=10)
    server.start()
    port = server.server_port
    get(port, "/primus/spec")
    assert get(port, "/") == (200, b"the wrapped app")
    assert is_refused(port)


def test_a_close_listener_that_fails_or_never_ends_stops_nobody(
    primus: Primus, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    reached = []

    @primus.on("close")
    def fails(options: Any) -> None:
        raise RuntimeError("no")

    primus.on("close", lambda options, next: None)  # noqa: A006
    primus.on("close", reached.append)
    primus.destroy()
    assert len(reached) == 1
    assert "a close listener failed" in caplog.text
    assert "did not call next" in caplog.text
