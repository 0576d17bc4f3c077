"""Socket.IO 0.9 without a server: options, handshakes that wait, and what a session makes of packets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import asdict
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Any

import gevent
import pytest

from primus_gevent import Primus
from primus_gevent.errors import OptionError
from primus_gevent.middleware.exchange import Exchange
from primus_gevent.request import RequestRecord
from primus_gevent.testing.virtual import VirtualTime
from primus_gevent.transformers.socketio import SocketIOOptions
from primus_gevent.transformers.socketio_session import HANDSHAKE_SIZE, Handshakes
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, in_hub, turn


class Poll:
    """Stands for a request that waits."""

    deadline = inf
    dismissed = False

    def wake(self) -> None:
        pass

    def cut(self) -> bool:
        return True


class Socket:
    """A WebSocket, as a session sees it."""

    full = paused = active = False
    framing = "websocket"
    name = "websocket"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.calls: list[Any] = []
        self.receiver: Any = None

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def peer_left(self) -> bool:
        return False

    def hand_over(self, receiver: Any) -> None:
        self.receiver = receiver

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.calls.append(("close", code))
        self.receiver.closed(True)

    def abort(self) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.closed(False)
            receiver.gone()


class Server:
    """A Primus with Socket.IO, and the requests of its clients. What its sparks got is in `received`."""

    def __init__(self, **options: Any) -> None:
        self.primus = Primus(**{"transformer": "socket.io", "close_timeout": 0.05, **options})
        self.transformer: Any = self.primus.transformer
        self.received: list[Any] = []
        self.sparks: list[Any] = []

        @self.primus.on("connection")
        def connection(spark: Any) -> None:
            self.sparks.append(spark)
            spark.on("data", self.received.append)

    def ask(
        self, path: str, query: str = "", method: str = "GET", body: bytes = b"", **environ: Any
    ) -> tuple[str, dict[str, str], bytes]:
        chunks, status, headers = self.begin(path, query, method, body, **environ)
        data = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        turn(2)
        return status, headers, data

    def begin(
        self, path: str, query: str = "", method: str = "GET", body: bytes = b"", **environ: Any
    ) -> tuple[Any, str, dict[str, str]]:
        """A request whose response the server has not begun to send."""
        answer: list[Any] = []
        environ = {
            **ENVIRON,
            "PATH_INFO": "/primus" + path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            **environ,
        }
        chunks = self.primus(environ, lambda *args: answer.append(args))
        ((status, headers),) = answer
        return chunks, status, dict(headers)

    def shake_hands(self, query: str = "") -> str:
        status, _, body = self.ask("/1/", query)
        assert status == "200 OK"
        return body.decode().split(":")[0]

    def open(self) -> tuple[Any, str]:
        """A session, and the path of its polls."""
        sid = self.shake_hands()
        path = f"/1/xhr-polling/{sid}"
        assert self.ask(path)[2] == b"1::"
        return self.transformer.requests.sessions.get(sid), path

    def open_websocket(self) -> tuple[Any, Socket]:
        """A session, and its WebSocket."""
        sid = self.shake_hands()
        socket = Socket()
        record = RequestRecord(ENVIRON)
        socket.receiver, _ = self.transformer._attach(sid, socket, record, False)
        turn(2)
        assert socket.sent == ["1::"]
        socket.sent.clear()
        return self.transformer.requests.sessions.get(sid), socket

    def close(self) -> None:
        for session in self.transformer.requests.sessions:
            session.abort()
        eventually(lambda: self.primus._open_sockets == 0)
        self.primus._sweep.stop()
        for id_ in list(self.transformer.handshakes._records):
            self.transformer.handshakes.pop(id_)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


# -- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heartbeat interval": 1}, "unknown transport option 'heartbeat interval'; known are: heartbeats"),
        ({"heartbeats": 1}, "'heartbeats' is True or False"),
        ({"heartbeat_interval": 0}, "'heartbeat_interval' is a number of seconds above 0"),
        ({"heartbeat_timeout": "60"}, "'heartbeat_timeout' is a number of seconds"),
        ({"close_timeout": inf}, "'close_timeout' is a number of seconds"),
        ({"polling_duration": True}, "'polling_duration' is a number of seconds"),
        ({"transports": ["flashsocket"]}, "a list of 'websocket', 'htmlfile', 'xhr-polling', 'jsonp"),
        ({"transports": []}, "a list of"),
        ({"handshake_lifetime": -1}, "'handshake_lifetime' is a number of seconds"),
        ({"max_handshakes": 0}, "'max_handshakes' is a number above 0"),
        ({"max_handshakes": True}, "'max_handshakes' is a number above 0"),
        ({"max_http_buffer_size": 0}, "'max_http_buffer_size' is a number of bytes"),
    ],
)
def test_option_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Primus(transformer="socket.io", transport=options)
    assert caught.value.option == "transport"


def test_defaults_are_those_of_the_original() -> None:
    assert asdict(SocketIOOptions.parse({})) == {
        "heartbeats": True,
        "heartbeat_interval": 25.0,
        "heartbeat_timeout": 60.0,
        "close_timeout": 60.0,
        "polling_duration": 20.0,
        "transports": ("websocket", "htmlfile", "xhr-polling", "jsonp-polling"),
        "handshake_lifetime": 30.0,
        "max_handshakes": 10_000,
        "max_http_buffer_size": None,
    }


@pytest.mark.parametrize(
    ("transport", "fits"),
    [({}, 4 * 90_000 + 65_536), ({"max_http_buffer_size": 900_000}, 900_000)],
    ids=["three messages", "as told"],
)
def test_room_of_a_body(serve: Callable[..., Server], transport: dict[str, Any], fits: int) -> None:
    """Official clients put all that waits into one."""
    server = serve(max_length=120_000, transport=transport)
    _, path = server.open()
    packet = "3:::" + "1" * 995
    entry = f"\ufffd{len(packet)}\ufffd{packet}".encode()
    body = entry * (fits // len(entry))
    assert server.ask(path, method="POST", body=body)[0] == "200 OK"
    assert server.ask(path, method="POST", body=body + 2 * entry)[0].startswith("413")


def test_every_option_says_what_it_is() -> None:
    path = Path(__file__).parents[3] / "primus_gevent" / "transformers" / "socketio.py"
    (options,) = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "SocketIOOptions"
    ]
    fields, told = options.body[1::2], options.body[2::2]
    assert len(fields) == len(told)
    assert all(isinstance(node, ast.AnnAssign) for node in fields)
    assert all(isinstance(node, ast.Expr) for node in told)


# -- routes


@pytest.mark.parametrize(
    ("path", "claimed"),
    [
        ("/1", True),
        ("/1/", True),
        ("/1//sid/", True),
        ("/1/websocket/sid", True),
        ("/1/xhr-polling/sid/", True),
        ("/1/htmlfile", True),
        ("", False),
        ("/", False),
        ("/2/", False),
        ("/1/000/websocket", False),
        ("/bind", False),
        ("/info", False),
    ],
)
def test_claims_its_own_requests_only(serve: Callable[..., Server], path: str, claimed: bool) -> None:
    exchange = Exchange({**ENVIRON}, path)
    assert serve().transformer.claims(exchange) is claimed


# -- handshakes


def test_handshakes_expire() -> None:
    handshakes = Handshakes(0.02, 2000, lambda what: None)
    for number in range(1000):
        handshakes.add(str(number), RequestRecord(ENVIRON))
    assert len(handshakes) == 1000
    eventually(lambda: not len(handshakes))
    assert handshakes._timer is None
    handshakes.add("again", RequestRecord(ENVIRON))
    eventually(lambda: "again" not in handshakes)


def test_handshakes_expire_each_in_its_time(virtual: VirtualTime) -> None:
    handshakes = Handshakes(30, 10, lambda what: None)
    handshakes.add("first", RequestRecord(ENVIRON))
    virtual.advance(20)
    handshakes.add("second", RequestRecord(ENVIRON))
    virtual.advance(9.9)
    assert "first" in handshakes
    virtual.advance(0.2)
    assert "first" not in handshakes
    assert "second" in handshakes
    assert handshakes.pop("first") is None
    assert handshakes.pop("second") is not None
    assert handshakes._timer is None


def test_the_oldest_handshakes_go() -> None:
    dropped: list[str] = []
    handshakes = Handshakes(30, 3, dropped.append)
    for number in range(5):
        handshakes.add(str(number), RequestRecord(ENVIRON))
    assert [str(number) in handshakes for number in range(5)] == [False, False, True, True, True]
    assert dropped == ["handshakes over the limit"] * 2
    for number in range(5):
        handshakes.pop(str(number))


def test_large_handshakes_take_the_place_of_several() -> None:
    dropped: list[str] = []
    handshakes = Handshakes(30, 4, dropped.append)
    large = RequestRecord({**ENVIRON, "HTTP_COOKIE": "x" * 3 * HANDSHAKE_SIZE})
    too_large = RequestRecord({**ENVIRON, "HTTP_COOKIE": "x" * 5 * HANDSHAKE_SIZE})
    for id_ in ("a", "b"):
        handshakes.add(id_, RequestRecord(ENVIRON))
    handshakes.add("large", large)
    assert (len(handshakes), dropped) == (3, [])
    handshakes.add("larger", large)
    assert (len(handshakes), "larger" in handshakes, len(dropped)) == (1, True, 3)
    handshakes.add("too large", too_large)  # somebody has to be the last one
    assert (len(handshakes), "too large" in handshakes) == (1, True)
    assert handshakes.pop("too large") is too_large
    for number in range(4):
        handshakes.add(str(number), RequestRecord(ENVIRON))
    assert (len(handshakes), len(dropped)) == (4, 4)
    for number in range(4):
        handshakes.pop(str(number))
    assert handshakes._size == 0


def test_a_handshake_makes_no_spark(serve: Callable[..., Server]) -> None:
    server = serve()
    sid = server.shake_hands("foo=bar")
    assert len(server.primus) == 0
    assert server.primus._open_sockets == 0
    assert server.ask(f"/1/xhr-polling/{sid}", "t=1")[2] == b"1::"
    (spark,) = server.sparks
    assert (spark.id, spark.query) == (sid, {"foo": "bar"})
    assert sid not in server.transformer.handshakes


def test_ids_of_the_application(serve: Callable[..., Server]) -> None:
    ids = iter(["a b/c:d,é", "twice", "twice"])
    server = serve(id_generator=lambda: next(ids))
    answer = server.ask("/1/")[2]
    assert answer.startswith(b"a%20b%2Fc%3Ad%2C%C3%A9:60:")
    decoded = "/1/xhr-polling/a b/c:d,é".encode().decode("latin-1")  # as WSGI has it
    assert server.ask(decoded)[2] == b"1::"
    assert server.sparks[0].id == "a b/c:d,é"
    assert server.shake_hands() == "twice"
    assert server.shake_hands() != "twice"


def test_a_server_that_goes_down(serve: Callable[..., Server]) -> None:
    server = serve()
    sid = server.shake_hands()
    assert server.primus.drain(0.1)
    assert server.ask("/1/")[0].startswith("503")
    assert server.ask(f"/1/xhr-polling/{sid}")[0].startswith("503")
    assert sid in server.transformer.handshakes


# -- polls


def test_answer_that_is_not_sent(serve: Callable[..., Server]) -> None:
    server = serve()
    session, path = server.open()
    session.send("1")
    chunks, _, _ = server.begin(path)
    session.send("2")
    chunks.close()  # the server could not send it
    assert list(session.waiting) == ["3:::1", "3:::2"]
    assert session.carrier is None


def test_answers_have_a_size(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=1 << 24)
    session, path = server.open()
    for _ in range(3):
        session.send("x" * 700_000)
    assert [len(server.ask(path)[2]) for _ in range(3)] == [700_004] * 3


def test_poll_whose_answer_comes_too_late_goes_over_the_websocket(serve: Callable[..., Server]) -> None:
    server = serve()
    session, path = server.open()
    session.send("late")
    chunks, _, _ = server.begin(path)
    next(chunks)
    socket = Socket()
    socket.receiver = session
    session.move_to(socket)
    chunks.close()
    assert socket.sent == ["3:::late"]


def test_websocket_waits_for_what_a_poll_is_sending(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    session, path = server.open()
    session.send("first")
    chunks, _, _ = server.begin(path)
    next(chunks)
    accepted: list[bool] = []

    def accept(exchange: Any, start_response: Any, attach: Any, *, moves: bool) -> list[bytes]:
        assert moves
        accepted.append(session.sending)
        start_response("101", [])
        return []

    monkeypatch.setattr(server.transformer._upgrader, "accept", accept)
    upgrade: dict[str, Any] = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    asking = gevent.spawn(server.ask, path.replace("xhr-polling", "websocket"), **upgrade)
    turn(3)
    assert accepted == []
    assert list(chunks) == []
    asking.get(timeout=5)
    assert accepted == [False]


def test_poll_that_another_one_has_replaced_carries_nothing(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _ = server.open()
    poll = Poll()
    session.hold(poll)
    session.send("for the next one")
    poll.dismissed = True
    assert session.next_packets() == []
    poll.dismissed = False
    assert session.next_packets() == ["3:::for the next one"]
    session.release(poll)


def test_htmlfile_that_is_cut_off_ends_at_once(serve: Callable[..., Server]) -> None:
    server = serve()
    sid = server.shake_hands()
    chunks, status, _ = server.begin(f"/1/htmlfile/{sid}")
    assert status == "200 OK"
    session = server.transformer.requests.sessions.get(sid)
    assert next(chunks).startswith(b"<html>")
    assert next(chunks) == b'<script>_("1::");</script>'
    assert session.name == "htmlfile"
    chunks.close()
    assert session.state == "gone"


# -- packets


def test_what_nobody_sends_is_ignored(serve: Callable[..., Server]) -> None:
    server = serve()
    session, socket = server.open_websocket()
    junk = ["", "x", "9::", "1::", "8::", "7:::1+0", "6:::1+[", "5:::{", "4:::{", "4::", b"3:::1", "5:::[]"]
    in_hub(session.receive, [*junk, '3:::"on"'])
    turn(2)
    assert server.received == ["on"]
    assert socket.sent == []


def test_messages_in_front_of_a_goodbye(serve: Callable[..., Server]) -> None:
    server = serve()
    session, socket = server.open_websocket()
    in_hub(session.receive, ["3:::1", "3:5::2", "0::", "3:::3"])
    turn(2)
    assert server.received == [1, 2]
    assert socket.sent == ["6:::5", "0::"]
    assert socket.calls == [("close", 1000)]


def test_acknowledgements_that_nobody_fetches(serve: Callable[..., Server]) -> None:
    """Whoever asks for more and more of them is dropped."""
    server = serve(write_buffer=100)
    session, path = server.open()
    in_hub(session.receive, [f"3:{number}::{number}" for number in range(100)])
    turn(2)
    assert session.state == "closing"
    assert 5 < len(server.received) < 30
    assert server.ask(path)[2].endswith(b"0::")


def test_message_that_is_too_long(serve: Callable[..., Server]) -> None:
    server = serve(max_length=10)
    for long in ("3:::" + "x" * 11, "3:1::" + "x" * 11, '4:::"' + "x" * 11 + '"'):
        session, socket = server.open_websocket()
        in_hub(session.receive, ["3:::1", long, "3:::2"])
        turn(2)
        assert socket.calls == [("close", 1009)]
        assert socket.sent[-1] == "0::"
    assert server.received == [1, 1, 1]


def test_bytes_are_carried_as_text(serve: Callable[..., Server]) -> None:
    server = serve()
    session, socket = server.open_websocket()
    in_hub(session.receive, ["3:::primus::binary::AAE=", "3:::primus::binary::*"])
    turn(2)
    session.send(b"\x00\x01")
    assert socket.sent == ["3:::primus::binary::AAE="]
    assert server.received[:1] == [b"\x00\x01"]


def test_framing_is_shared_over_websocket(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _ = server.open_websocket()
    polling, _ = server.open()
    assert session.framing == "socket.io"
    assert polling.framing is None
    assert (session.name, polling.name) == ("websocket", "xhr-polling")


# -- heartbeats


def test_heartbeats(serve: Callable[..., Server]) -> None:
    server = serve()
    session, socket = server.open_websocket()
    began = session._beat_at
    session.tick(began + 24.9)
    assert socket.sent == []
    session.tick(began + 25.0)
    session.tick(began + 84.9)
    assert socket.sent == ["2::"]
    in_hub(session.receive, ["3:::1"])  # is no answer
    session.tick(began + 85.1)
    assert socket.sent == ["2::", "0::"]
    assert socket.calls == [("close", 1000)]


def test_heartbeat_that_is_answered(serve: Callable[..., Server]) -> None:
    server = serve()
    session, socket = server.open_websocket()
    now = session._beat_at + 25.1
    session.tick(now)
    in_hub(session.receive, ["2::"])
    answered = session._beat_at
    session.tick(answered + 24.9)
    assert socket.sent == ["2::"]
    session.tick(answered + 25.1)
    assert socket.sent == ["2::", "2::"]


def test_no_heartbeat_for_who_takes_nothing(serve: Callable[..., Server]) -> None:
    """But he has to answer all the same."""
    session, socket = serve().open_websocket()
    began = session._beat_at
    socket.full = True
    session.tick(began + 25.1)
    assert socket.sent == []
    session.tick(began + 86)
    assert session.state != "open"


def test_silence_of_who_cannot_be_heard(serve: Callable[..., Server]) -> None:
    """While nobody reads what he sends, a client gets heartbeats, or he would leave."""
    server = serve()
    session, socket = server.open_websocket()
    session.pause()
    now = session._beat_at
    for _ in range(60):
        now += 5
        session.tick(now)
    assert session.state == "open"
    assert 10 <= socket.sent.count("2::") <= 12
    session.resume()
    for _ in range(11):
        now += 5
        session.tick(now)
    assert session.state == "open"
    for _ in range(8):
        now += 5
        session.tick(now)
    assert session.state != "open"


def test_no_heartbeats_by_polling_nor_when_turned_off(serve: Callable[..., Server]) -> None:
    session, _ = serve().open()
    session.hold(Poll())
    session.tick(session._beat_at + 100)
    assert not session.ready
    session.release(session.carrier)
    session, socket = serve(transport={"heartbeats": False}).open_websocket()
    session.tick(session._beat_at + 1000)
    assert socket.sent == []
    assert session.state == "open"


# -- the end


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (1012, 1000), (1013, 1000), (4000, 4000)])
def test_close_codes_are_those_that_old_clients_know(
    serve: Callable[..., Server], code: int, told: int
) -> None:
    session, socket = serve().open_websocket()
    session.close(code)
    session.close(code)
    assert socket.sent == ["0::"]
    assert socket.calls == [("close", told)]


def test_session_that_is_closing_takes_no_other_transport(serve: Callable[..., Server]) -> None:
    """Its WebSocket has said goodbye, or a poll will."""
    server = serve()
    session, socket = server.open_websocket()
    session.close()
    assert server.ask(f"/1/xhr-polling/{session.id}")[2] == b"7:::1+0"
    assert session.transport is socket
    session, path = server.open()
    session.close()
    stranger = Socket()
    receiver, _ = server.transformer._attach(session.id, stranger, RequestRecord(ENVIRON), False)
    stranger.receiver = receiver
    turn(2)
    assert stranger.sent == ["7:::1+0"]
    assert stranger.calls == [("close", 1000)]
    assert server.ask(path)[2] == b"0::"
    assert server.ask(path)[2] == b"7:::1+0"
