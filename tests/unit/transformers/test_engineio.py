"""Engine.IO without a server: options, what a session makes of packets, and requests that fail half-way."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import get_hub

from primus_gevent import Primus
from primus_gevent.errors import OptionError
from primus_gevent.protocols import engineio
from primus_gevent.transformers.engineio import EngineOptions, Probe
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, in_hub, turn


class Server:
    """A Primus with Engine.IO, and the requests of its clients. What its sparks got is in `received`."""

    def __init__(self, **options: Any) -> None:
        self.primus = Primus(**{"transformer": "engine.io", "close_timeout": 0.05, **options})
        self.received: list[Any] = []
        self.sparks: list[Any] = []
        self.on_spark: Callable[[Any], None] = lambda spark: spark.on("data", self.received.append)

        @self.primus.on("connection")
        def connection(spark: Any) -> None:
            self.sparks.append(spark)
            self.on_spark(spark)

    def ask(
        self, query: str, method: str = "GET", body: bytes | None = None, **environ: Any
    ) -> tuple[str, list[tuple[str, str]], bytes]:
        chunks, status, headers = self.begin(query, method, body, **environ)
        data = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        turn(2)
        return status, headers, data

    def begin(
        self, query: str, method: str = "GET", body: bytes | None = None, **environ: Any
    ) -> tuple[Any, str, list[tuple[str, str]]]:
        """A request whose response the server has not begun to send."""
        answer: list[Any] = []
        if body is not None:
            environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body), **environ}
        environ = {
            **ENVIRON,
            "PATH_INFO": "/primus/",
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            **environ,
        }
        chunks = self.primus(environ, lambda *args: answer.append(args))
        ((status, headers),) = answer
        return chunks, status, headers

    def open(self, handshake: str = "EIO=4&transport=polling") -> tuple[Any, str]:
        """A session, and the query of its requests."""
        before = set(self.primus.transformer.requests.sessions)
        status, _, _ = self.ask(handshake)
        assert status == "200 OK"
        (session,) = set(self.primus.transformer.requests.sessions) - before
        turn(2)
        return session, f"{handshake}&sid={session.id}"

    def close(self) -> None:
        for session in self.primus.transformer.requests.sessions:
            session.abort()
        eventually(lambda: self.primus._open_sockets == 0)
        self.primus._sweep.stop()


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
        ({"pingInterval": 1}, "unknown transport option 'pingInterval'; known are: ping_interval"),
        ({"ping_interval": 0}, "'ping_interval' is a number of seconds above 0"),
        ({"ping_timeout": "20"}, "'ping_timeout' is a number of seconds"),
        ({"upgrade_timeout": True}, "'upgrade_timeout' is a number of seconds"),
        ({"ping_interval": inf}, "'ping_interval' is a number of seconds"),
        ({"transports": []}, "a list of 'polling', 'websocket'"),
        ({"transports": "polling"}, "a list of 'polling', 'websocket'"),
        ({"transports": ["carrier pigeon"]}, "a list of 'polling', 'websocket'"),
        ({"allow_upgrades": 1}, "True or False"),
        ({"cookie": True}, "a name or False"),
        ({"cookie": "a; b"}, "a name or False"),
        ({"cookie": "ü"}, "a name or False"),
        ({"cookie": ""}, "a name or False"),
        ({"max_http_buffer_size": 0}, "a number of bytes"),
        ({"max_http_buffer_size": True}, "a number of bytes"),
        ({"dialect": "4"}, "'3a', '3b' or '3c'"),
    ],
)
def test_option_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Primus(transformer="engine.io", transport=options)
    assert caught.value.option == "transport"


@pytest.mark.parametrize("transports", [["carrier pigeon"], []])
def test_transports_of_polling_that_cannot_be(transports: list[str]) -> None:
    with pytest.raises(OptionError, match="'transports' is a list"):
        Primus(transformer="polling", transport={"transports": transports})


def test_options() -> None:
    assert EngineOptions.parse({}) == EngineOptions()
    parsed = EngineOptions.parse({"transports": ["websocket"], "ping_interval": 1, "cookie": "io"})
    assert (parsed.transports, parsed.ping_interval, parsed.cookie) == (("websocket",), 1, "io")
    assert EngineOptions.parse({"cookie": "__Host-io.sid"}).cookie == "__Host-io.sid"


def test_options_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/options.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| `(.+?)` \| [^|]+ \|$", text[text.index("\n## transport\n") :], re.MULTILINE
    )
    assert {name: ast.literal_eval(default) for name, default in rows} == asdict(EngineOptions())


def test_polling_has_no_websocket(serve: Callable[..., Server]) -> None:
    server = serve(transformer="polling", transport={"transports": ["websocket"], "ping_interval": 7})
    _, _, body = server.ask("EIO=4&transport=polling")
    handshake = json.loads(body[1:])
    assert (handshake["upgrades"], handshake["pingInterval"]) == ([], 7000)


# -- requests


def test_empty_session_id_is_none(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.ask("EIO=4&transport=polling&sid=")[2][:8] == b'0{"sid":'
    assert b'"code":1' in server.ask("EIO=4&transport=polling&sid=0")[2]


@pytest.mark.parametrize(
    ("query", "start", "content_type"),
    [
        ("t=1795426342465-0", b"\0", "application/octet-stream"),  # engine.io-client 1.3 in a browser
        ("t=1795426342465-0&b64=1", b"9", "text/plain; charset=UTF-8"),  # and in Node
        ("t=1795426342465", b"9", "text/plain; charset=UTF-8"),  # 0.8
        ("", b"9", "text/plain; charset=UTF-8"),
    ],
)
def test_clients_that_say_revision_2(
    serve: Callable[..., Server], query: str, start: bytes, content_type: str
) -> None:
    server = serve()
    _, headers, body = server.ask("EIO=2&transport=polling&" + query)
    assert (body[:1], dict(headers)["Content-Type"]) == (start, content_type)


def test_packets_of_a_response_that_cannot_begin_are_kept(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.send("x")
    environ = {**ENVIRON, "PATH_INFO": "/primus/", "QUERY_STRING": query}

    def start_response(*args: Any) -> None:
        raise ValueError("a server that does not like the headers")

    with pytest.raises(ValueError, match="does not like"):
        server.primus(environ, start_response)
    assert session.carrier is None
    assert server.ask(query)[2] == b"4x"


def test_packets_of_a_response_that_is_not_sent_are_kept(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.send("x")
    chunks, _, _ = server.begin(query)
    assert next(chunks) == b"4x"
    assert session.sending
    session.send("y")
    chunks.close()
    assert server.ask(query)[2] == b"4x\x1e4y"


def test_noop_that_is_not_sent_is_not_kept(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    poll = gevent.spawn(server.begin, query)
    turn(2)
    session.carrier.wake()
    chunks, _, _ = poll.get(timeout=1)
    assert next(chunks) == b"6"
    chunks.close()
    assert not session.ready


def test_headers_of_a_layer(serve: Callable[..., Server]) -> None:
    """What concerns another body is not for this answer."""
    server = serve()

    @server.primus.before("mark")
    def mark(request: Any, response: Any) -> None:
        response.headers["X-Mark"] = "yes"
        response.headers["Content-Type"] = "text/x-other"
        response.headers["Content-Length"] = "5"

    session, query = server.open()
    session.send("x")
    _, headers, _ = server.ask(query)
    names = [name.lower() for name, _ in headers]
    assert len(set(names)) == len(names)
    assert dict(headers)["Content-Type"] == engineio.TEXT_TYPE
    assert dict(headers)["X-Mark"] == "yes"


def test_cookie_of_an_odd_id(serve: Callable[..., Server]) -> None:
    """Ids of the application's own may be anything."""
    server = serve(id_generator=lambda: "a; b\r\nc", transport={"cookie": "io"})
    _, headers, _ = server.ask("EIO=4&transport=polling")
    assert dict(headers)["Set-Cookie"].startswith("io=a%3B%20b%0D%0Ac; ")


def test_an_id_that_is_given_again(serve: Callable[..., Server]) -> None:
    server = serve(id_generator=lambda: "ann", close_timeout=30)
    old, query = server.open()
    server.sparks[0].end()
    assert old.state == "closing"
    server.ask("EIO=4&transport=polling")
    fresh = server.primus.transformer.requests.sessions.get("ann")
    assert (old.state, fresh.state) == ("gone", "open")
    fresh.send("x")
    assert server.ask(query)[2] == b"4x"


def test_requests_while_the_server_drains(serve: Callable[..., Server]) -> None:
    server = serve()
    _session, query = server.open()
    poll = gevent.spawn(server.ask, query)
    turn(2)
    assert server.primus.drain(5)
    status, headers, body = poll.get(timeout=1)
    assert (status, body) == ("200 OK", b"1")
    assert dict(headers)["Connection"] == "close"
    status, headers, _ = server.ask("EIO=4&transport=polling")
    assert (status[:3], dict(headers)["Retry-After"]) == ("503", "1")


def test_post_that_waits_too_long(serve: Callable[..., Server]) -> None:
    server = serve(session_timeout=0.01, handshake_timeout=0.01, inbox_messages=1)
    server.on_spark = lambda spark: None
    session, query = server.open()
    server.ask(query, "POST", b"4one\x1e4two")
    assert session.paused
    status, headers, _ = server.ask(query, "POST", b"4three")
    assert (status[:3], dict(headers)["Retry-After"]) == ("503", "1")
    assert session.post is None


def test_message_that_is_too_long(serve: Callable[..., Server]) -> None:
    """Those before it are delivered."""
    server = serve(max_length=10)
    _session, query = server.open()
    server.ask(query, "POST", b'4"a"\x1e4"' + b"x" * 20 + b'"\x1e4"b"')
    assert server.received == ["a"]
    assert server.ask(query)[2] == b"1"


def test_packets_behind_the_goodbye(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open("EIO=3&transport=polling&b64=1")
    server.ask(query, "POST", b'4:4"a"1:14:4"b"1:2')
    assert server.received == ["a"]
    assert session.state == "gone"
    assert server.sparks[0].clean


def test_packets_behind_a_fault(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    server.ask(query, "POST", b'4"a"\x1e2\x1e4"b"')
    assert server.received == ["a"]
    assert session.state == "closing"
    assert not server.sparks[0].clean


def test_pings_without_polls(serve: Callable[..., Server]) -> None:
    """One answer is enough for all of them."""
    server = serve()
    _session, query = server.open("EIO=3&transport=polling&b64=1")
    for _ in range(3):
        server.ask(query, "POST", b"1:2" * 1000)
    assert server.ask(query)[2] == b"1:3"


def test_server_pings_stay_bounded(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=10)
    session, _query = server.open()
    session.send("x" * 20)
    session.tick(session._pinged_at + 26)
    assert list(session.waiting) == ["4" + "x" * 20]


# -- times


def test_no_pong_in_time(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _query = server.open()
    began = session._pinged_at
    session.tick(began + 24.9)
    assert not session.ready
    session.tick(began + 25.0)
    assert list(session.waiting) == ["2"]
    in_hub(session.take_in, [("3", "")])
    session.hold(Poll())
    session.tick(began + 50.0)
    session.tick(began + 70.0)
    assert session.state == "open"
    session.tick(began + 70.1)
    assert session.state == "closing"


def test_silence_of_who_cannot_be_heard(serve: Callable[..., Server]) -> None:
    server = serve()
    for handshake in ("EIO=4&transport=polling", "EIO=3&transport=polling"):
        session, _ = server.open(handshake)
        session.hold(Poll())
        session.pause()
        now = session._pinged_at
        for _ in range(100):
            now += 5
            session.tick(now)
        assert session.state == "open"
        session.resume()
        session.tick(now + 1)
        assert session.state == "open"
        for _ in range(20):
            now += 5
            session.tick(now)
        assert session.state == "closing"


class Poll:
    """Stands for a request that waits."""

    deadline = inf

    def wake(self) -> None:
        pass

    def cut(self) -> bool:
        return True


# -- the upgrade


class Socket:
    """A WebSocket, as a probe sees it."""

    full = paused = active = False
    framing = "websocket"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.calls: list[Any] = []
        self.receiver: Any = None

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def hand_over(self, receiver: Any) -> None:
        self.receiver = receiver

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.calls.append(("close", code))

    def abort(self) -> None:
        if self.receiver is not None:
            receiver, self.receiver = self.receiver, None
            receiver.closed(False)
            receiver.gone()


def probe(session: Any) -> tuple[Probe, Socket]:
    socket = Socket()
    session.probe = Probe(session, socket, 10.0)  # type: ignore[arg-type]
    return session.probe, socket


def test_the_upgrade_waits_for_what_a_poll_is_sending(serve: Callable[..., Server]) -> None:
    """What does not arrive goes over the WebSocket, and first."""
    server = serve()
    for arrives in (True, False):
        session, query = server.open()
        session.send("one")
        chunks, _, _ = server.begin(query)
        next(chunks)
        tried, socket = probe(session)
        in_hub(tried.receive, ["2probe"])
        session.send("two")
        in_hub(tried.receive, ["5", '4"behind it"'])
        assert (socket.sent, socket.calls) == (["3probe"], ["pause"])
        if arrives:
            assert list(chunks) == []
        chunks.close()
        turn(2)
        assert socket.sent == (["3probe", "4two"] if arrives else ["3probe", "4one", "4two"])
        assert socket.calls == ["pause", "resume"]
        assert socket.receiver is session
        assert server.received[-1] == "behind it"
        assert session.framing == "engine.io 4"


def test_websocket_that_dies_while_the_upgrade_waits(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.send("one")
    chunks, _, _ = server.begin(query)
    next(chunks)
    tried, _socket = probe(session)
    in_hub(tried.receive, ["2probe", "5"])
    tried.closed(False)
    chunks.close()
    turn(2)
    assert session.transport is None
    assert server.ask(query)[2] == b"4one"


def test_noops_never_wait_in_the_outbox(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    tried, socket = probe(session)
    in_hub(tried.receive, ["2probe"])
    poll = gevent.spawn(server.begin, query)
    chunks, _, _ = poll.get(timeout=2)
    assert list(chunks) == [b"6"]
    in_hub(tried.receive, ["5"])
    assert socket.sent == ["3probe"]


def test_framings_that_can_be_shared(serve: Callable[..., Server]) -> None:
    server = serve()
    seen = set()
    for handshake in ("EIO=4", "EIO=4&b64=1", "EIO=3", "EIO=3&b64=1", "EIO=2"):
        session, _ = server.open(handshake + "&transport=polling")
        assert session.framing is None
        socket = Socket()
        socket.hand_over(session)
        session.adopt(socket)
        assert session.framing is not None
        seen.add(session.framing)
    assert len(seen) == 5
    assert get_hub() is session.hub
