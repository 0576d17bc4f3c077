"""The `websockets` transformer: what it refuses and how, and how it connects a socket that it is given."""

from __future__ import annotations

import socket
from typing import Any

import gevent
import pytest

from primus_gevent import Primus, hosts, transformers
from primus_gevent.errors import HostError, OptionError, UnknownNameError
from primus_gevent.hosts import Taken
from primus_gevent.transformers.websockets import WebSockets
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, turn
from tests.unit.protocols.wire import build
from tests.unit.transports.wire import Peer, tcp_pair

GOOD = {
    **ENVIRON,
    "QUERY_STRING": "a=1",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


class FakeHost:
    """Gives a real socket away, and remembers how it was asked."""

    def __init__(
        self, *, detached: bool = True, early: bytes = b"", gone: bool = False, upgraded: bool = False
    ) -> None:
        server, client = tcp_pair()
        server.setblocking(False)
        self.server = server
        self.peer = Peer(client)
        self.detached = detached
        self.early = early
        self.is_gone = gone
        self.upgraded = upgraded
        self.meanwhile: Any = None
        self.headers: Any = None
        self.released = 0

    def switch(self, headers: Any) -> Taken:
        self.headers = dict(headers)
        if self.meanwhile is not None:
            self.meanwhile()
        if self.is_gone:
            self.server.close()
            raise BrokenPipeError
        return Taken(self.server, self.early, release=None if self.detached else self.release)

    def release(self) -> None:
        self.released += 1
        self.server.close()


def ask(primus: Primus, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    answer: list[Any] = []
    merged = {name: value for name, value in {**GOOD, **environ}.items() if value is not None}
    body = b"".join(primus(merged, lambda *args: answer.extend(args)))
    return (answer[0], dict(answer[1]), body) if answer else ("", {}, body)


@pytest.fixture
def host(monkeypatch: Any) -> Any:
    made: list[FakeHost] = []

    def give(**options: Any) -> FakeHost:
        host = FakeHost(**options)
        made.append(host)
        monkeypatch.setattr(hosts, "find", lambda environ, start_response: host)
        return host

    yield give
    for host in made:
        host.peer.sock.close()
    turn(2)


@pytest.mark.parametrize(
    ("change", "status", "header"),
    [
        ({"HTTP_UPGRADE": None}, "426 Upgrade Required", ("Upgrade", "websocket")),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, "426 Upgrade Required", ("Sec-WebSocket-Version", "13")),
        ({"HTTP_SEC_WEBSOCKET_KEY": "x"}, "400 Bad Request", None),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, "400 Bad Request", None),
        ({"HTTP_CONNECTION": "close"}, "400 Bad Request", None),
        ({"REQUEST_METHOD": "POST"}, "405 Method Not Allowed", ("Allow", "GET")),
        ({"HTTP_ORIGIN": "http://evil.example"}, "403 Forbidden", None),
    ],
)
def test_a_bad_handshake_is_refused_with_a_reason(change: Any, status: str, header: Any, host: Any) -> None:
    given = host()
    primus = Primus(origins="http://good.example")
    got, headers, body = ask(primus, **change)
    assert got == status
    assert body
    assert "no-store" in headers["Cache-Control"]
    assert headers["Pragma"] == "no-cache"
    assert header is None or headers[header[0]] == header[1]
    assert given.headers is None
    given.server.close()


def test_a_good_one_is_connected(host: Any) -> None:
    given = host(early=build(1, b'"early"'))
    got: list[Any] = []
    primus = Primus(origins="http://good.example")
    primus.on("connection", lambda spark: got.append(spark.query))
    primus.on("connection", lambda spark: spark.on("data", got.append))
    status, _, body = ask(primus, HTTP_ORIGIN="http://good.example")
    assert (status, body) == ("", b"")  # the answer is the host's
    assert given.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    given.peer.send(build(1, b'"later"'))
    eventually(lambda: len(got) == 3)
    assert got == [{"a": "1"}, "early", "later"]
    assert len(primus) == 1
    given.peer.sock.close()
    eventually(lambda: not primus._open_sockets)
    assert len(primus) == 0


def test_a_layer_may_choose_a_subprotocol(host: Any) -> None:
    """By itself the server speaks none; then a browser that has asked for some hangs up."""
    given = host()
    primus = Primus()
    ask(primus, HTTP_SEC_WEBSOCKET_PROTOCOL="chat, superchat")
    assert "Sec-WebSocket-Protocol" not in given.headers
    given.peer.sock.close()

    given = host()

    @primus.before("subprotocol")
    def choose(request: Any, response: Any) -> None:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        response.headers["Sec-WebSocket-Protocol"] = offered.split(", ")[-1]

    ask(primus, HTTP_SEC_WEBSOCKET_PROTOCOL="chat, superchat")
    assert given.headers["Sec-WebSocket-Protocol"] == "superchat"
    given.peer.sock.close()
    eventually(lambda: not primus._open_sockets)


def test_a_client_that_left_during_its_handshake_is_nobody(host: Any) -> None:
    host(gone=True)
    primus = Primus()
    assert ask(primus)[2] == b""
    assert primus._open_sockets == len(primus) == 0


def test_a_server_that_gives_no_socket_is_named_in_the_log(monkeypatch: Any, caplog: Any) -> None:
    def find(environ: Any, start_response: Any) -> Any:
        raise HostError("use another one")

    monkeypatch.setattr(hosts, "find", find)
    assert ask(Primus())[0] == "501 Not Implemented"
    assert "use another one" in caplog.text


@pytest.mark.parametrize("reason", ["full", "draining"])
def test_without_room_it_says_when_to_come_back(reason: str, host: Any) -> None:
    given = host()
    primus = Primus(max_connections=1)
    if reason == "full":
        ask(primus)
        host().server.close()
    else:
        primus.drain(0)
        given.server.close()
    status, headers, _ = ask(primus)
    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "1"


def test_an_attached_connection_keeps_its_greenlet_until_the_end(host: Any) -> None:
    given = host(detached=False)
    where: list[Any] = []
    primus = Primus()
    primus.on("connection", lambda spark: where.append(gevent.getcurrent()))
    request = gevent.spawn(ask, primus)
    eventually(lambda: where)
    assert where == [request]
    assert not request.dead
    given.peer.send(build(8, b"\x03\xe8"))
    given.peer.receive_all()
    given.peer.sock.close()
    request.join(5)
    assert request.successful()
    assert given.released == 1
    assert primus._open_sockets == 0


@pytest.mark.parametrize("where", ["listener", "after"])
def test_a_killed_request_of_an_attached_connection_is_released(where: str, host: Any) -> None:
    given = host(detached=False)
    primus, started = Primus(close_timeout=0.05), []

    @primus.on("connection")
    def listener(spark: Any) -> None:
        started.append(spark)
        if where == "listener":
            spark.read()

    request = gevent.spawn(ask, primus)
    eventually(lambda: started)
    turn()
    request.kill(timeout=5)
    assert request.dead
    assert given.released == 1
    assert not started[0].writable
    if where == "listener":
        assert [event.code for event in given.peer.receive_all()] == [1012]
    eventually(lambda: not primus._open_sockets)


def test_compression_is_negotiated_only_if_asked_for(host: Any) -> None:
    for option, expected in ((False, False), (True, True), ({"level": 1}, True)):
        given = host()
        ask(Primus(compression=option), HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate")
        assert ("Sec-WebSocket-Extensions" in given.headers) is expected


def test_the_limits_of_the_options_arrive(host: Any) -> None:
    given = host()
    primus = Primus(max_length=10, max_fragments=2, write_buffer=400, write_timeout=3, close_timeout=4)
    ask(primus)
    transport = next(iter(primus)).socket
    assert (transport._protocol.max_length, transport._protocol.max_fragments) == (10, 2)
    limits = transport._limits
    assert (limits.high, limits.low, limits.write_timeout, limits.close_timeout) == (400, 100, 3, 4)
    assert given.server.fileno() >= 0


def test_transformers_are_found_by_name() -> None:
    assert transformers.load("websockets") is WebSockets
    with pytest.raises(UnknownNameError, match="websockets"):
        transformers.load("smoke")


def test_the_socket_is_the_transformers_own(host: Any) -> None:
    given = host()
    primus = Primus()
    ask(primus)
    spark = next(iter(primus))
    spark.socket.close(4321, "own words")
    (close,) = given.peer.receive(1)
    assert (close.code, close.reason) == (4321, "own words")
    assert isinstance(given.server, socket.socket)


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_drain_that_begins_during_the_handshake_takes_this_client_along(
    detached: bool, count: int, host: Any
) -> None:
    given = host(detached=detached)
    order: list[str] = []
    primus = Primus()
    given.meanwhile = lambda: primus.drain(0)
    for _ in range(count):
        primus.on("connection", lambda spark: order.append("connection"))
    primus.on("disconnection", lambda spark: order.append("disconnection"))
    request = gevent.spawn(ask, primus)
    (close,) = given.peer.receive(1)
    assert close.code == 1012
    given.peer.send(build(8, b"\x03\xf4"))
    assert given.peer.receive_all() == []
    given.peer.sock.close()
    request.join(5)
    assert request.successful()
    eventually(lambda: not primus._open_sockets)
    assert order == ["connection"] * count + ["disconnection"]


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize(("why", "code"), [("origin", 1008), ("room", 1013)])
def test_who_has_its_101_already_is_refused_with_a_close_frame(
    why: str, code: int, detached: bool, host: Any
) -> None:
    given = host(upgraded=True, detached=detached, early=build(1, b"1"))
    primus = Primus(origins="http://good.example")
    if why == "room":
        primus.drain(0)
    request = gevent.spawn(ask, primus, HTTP_ORIGIN="http://evil.example" if why == "origin" else None)
    if why == "origin":  # it would be refused again
        assert given.peer.receive(1) == ['"primus::server::close"']
    (close,) = given.peer.receive(1)
    assert close.code == code
    given.peer.sock.close()
    request.join(5)
    assert request.successful()
    assert given.released == (not detached)
    assert len(primus) == primus._open_sockets == 0


def test_it_has_no_options_of_its_own() -> None:
    with pytest.raises(OptionError, match="this transformer has none"):
        Primus(transport={"a": 1})
