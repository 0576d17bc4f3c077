"""BrowserChannel without a server: options, what a session keeps and for how long, and requests that fail
half-way."""

from __future__ import annotations

import ast
import json
import re
import time
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
from primus_gevent.transformers.browserchannel import ChannelOptions
from tests.unit.fakes import ENVIRON
from tests.unit.hub import eventually, turn


class Server:
    """A Primus with BrowserChannel, and the requests of its clients. What its sparks got is in `received`."""

    def __init__(self, **options: Any) -> None:
        self.primus = Primus(**{"transformer": "browserchannel", "close_timeout": 0.05, **options})
        self.sessions = self.primus.transformer.requests.sessions
        self.now = time.monotonic()  # the sweep looks as well
        self.received: list[Any] = []
        self.sparks: list[Any] = []
        self.on_spark: Callable[[Any], None] = lambda spark: spark.on("data", self.received.append)

        @self.primus.on("connection")
        def connection(spark: Any) -> None:
            self.sparks.append(spark)
            self.on_spark(spark)

    def begin(
        self, query: str, method: str = "GET", body: bytes | None = None, path: str = "/bind", **environ: Any
    ) -> tuple[Any, str, list[tuple[str, str]]]:
        """A request whose response the server has not begun to send."""
        answer: list[Any] = []
        if body is not None:
            environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body), **environ}
        environ = {
            **ENVIRON,
            "PATH_INFO": "/primus" + path,
            "QUERY_STRING": "VER=8&" + query,
            "REQUEST_METHOD": method,
            **environ,
        }
        chunks = self.primus(environ, lambda *args: answer.append(args))
        ((status, headers),) = answer
        return chunks, status, headers

    def ask(
        self, query: str, method: str = "GET", body: bytes | None = None, **more: Any
    ) -> tuple[str, bytes]:
        chunks, status, _ = self.begin(query, method, body, **more)
        data = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        turn(2)
        return status, data

    def open(self, body: bytes = b"count=0") -> tuple[Any, str]:
        """A session, and the query of its requests."""
        before = set(self.sessions)
        status, _ = self.ask("RID=1", "POST", body)
        assert status == "200 OK"
        (session,) = set(self.sessions) - before
        return session, f"SID={session.id}"

    def back(self, query: str, aid: int = 0, streams: bool = False) -> Iterator[bytes]:
        """The back channel, as a server has it."""
        chunks, status, _ = self.begin(f"{query}&RID=rpc&TYPE=xmlhttp&AID={aid}&CI={int(not streams)}")
        assert status == "200 OK"
        return iter(chunks)

    def close(self) -> None:
        for session in self.sessions:
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


def chunk(*arrays: list[Any]) -> bytes:
    text = json.dumps(list(arrays), separators=(",", ":"))
    return f"{len(text) + 1}\n{text}\n".encode()


# -- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hostPrefixes": []}, "unknown transport option 'hostPrefixes'; known are: host_prefixes"),
        ({"cors": "*"}, "unknown transport option 'cors'"),
        ({"host_prefixes": "a"}, "a list of prefixes of host names"),
        ({"host_prefixes": [""]}, "a list of prefixes of host names"),
        ({"host_prefixes": ["a/b"]}, "a list of prefixes of host names"),
        ({"host_prefixes": [1]}, "a list of prefixes of host names"),
        ({"keep_alive_interval": 0}, "a number of seconds above 0"),
        ({"keep_alive_interval": inf}, "a number of seconds above 0"),
        ({"session_timeout_interval": "30"}, "a number of seconds above 0"),
        ({"session_timeout_interval": True}, "a number of seconds above 0"),
        ({"max_http_buffer_size": 0}, "a number of bytes"),
        ({"max_http_buffer_size": False}, "a number of bytes"),
    ],
)
def test_option_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Primus(transformer="browserchannel", transport=options)
    assert caught.value.option == "transport"


def test_options() -> None:
    assert ChannelOptions.parse({}) == ChannelOptions()
    parsed = ChannelOptions.parse({"host_prefixes": ["a", "b"], "max_http_buffer_size": None})
    assert parsed == ChannelOptions(host_prefixes=("a", "b"))


def test_options_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/topics/browserchannel.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| [^|]+ \|$", text, re.MULTILINE)
    assert {name: ast.literal_eval(default) for name, default in rows} == asdict(ChannelOptions())


def test_session_timeout_wins(serve: Callable[..., Server]) -> None:
    server = serve(session_timeout=7, transport={"session_timeout_interval": 9})
    assert server.primus.transformer.requests.limits.away_timeout == 7
    assert serve().primus.transformer.requests.limits.away_timeout == 30


@pytest.mark.parametrize("path", ["/test", "/bind", "", "/", "/bcsocket.js", "/bind/x", "/info"])
def test_claims(serve: Callable[..., Server], path: str) -> None:
    exchange = type("Exchange", (), {"path": path})()
    assert serve().primus.transformer.claims(exchange) == (path in ("/test", "/bind"))


# -- a session over time; its clock is the test's


def test_client_that_never_comes(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _ = server.open()
    session.tick(server.now)
    session.tick(server.now + 29)
    assert session.state == "open"
    session.tick(server.now + 31)
    assert session.state == "gone"
    assert len(server.sessions) == len(server.primus) == 0
    assert not server.sparks[0].clean


def test_posts_do_not_keep_a_session(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.tick(server.now)
    server.ask(query + "&RID=2", "POST", b"count=0")
    session.tick(server.now + 31)
    assert session.state == "gone"


def test_back_channel_keeps_a_session(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.tick(server.now)
    back = gevent.spawn(lambda: b"".join(server.back(query, streams=True)))
    turn(2)
    for seconds in (31, 50, 51.1, 71.2):
        session.tick(server.now + seconds)
        turn(2)
    assert session.state == "open"
    session.abort()
    assert back.get(timeout=5) == chunk([1, ["noop"]]) + chunk([2, ["noop"]])


def test_away_begins_anew_with_each_back_channel(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.send("x")
    session.tick(server.now)
    list(server.back(query))
    for seconds in (20, 49):
        session.tick(server.now + seconds)
    assert session.state == "open"
    session.tick(server.now + 51)
    assert session.state == "gone"


def test_noops_are_counted_from_the_opening(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    for seconds in (0, 15, 30):
        back = gevent.spawn(lambda: b"".join(server.back(query, streams=True)))
        turn(2)
        session.tick(server.now + seconds)
        session.tick(server.now + seconds + 19)
        assert session._arrays.size == 0
        session.carrier.dismiss()
        assert back.get(timeout=5) == b""


def test_no_noop_behind_the_goodbye(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    back = gevent.spawn(lambda: b"".join(server.back(query, streams=True)))
    turn(2)
    session.tick(server.now)
    session.close()
    session.tick(server.now + 21)
    assert back.get(timeout=5) == chunk([1, ["stop"]])


def test_what_is_sent_afterwards_is_not_kept(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _ = server.open()
    session.abort()
    session.send("x")
    assert (session._arrays.size, session._arrays.waiting) == (0, 0)


def test_signs_of_life(serve: Callable[..., Server]) -> None:
    """Each request of the client's is one, for the heartbeat."""
    server = serve()
    session, query = server.open()
    assert session.active
    session.active = False
    server.ask(query + "&RID=2", "POST", b"count=0")
    assert session.active
    session.active = False
    session.send("x")
    list(server.back(query))
    assert session.active


def test_repr(serve: Callable[..., Server]) -> None:
    server = serve()
    session, _ = server.open()
    session.send("x")
    assert repr(session) == f"<ChannelSession {session.id} open <Arrays from 0: 2 kept, 1 waiting>>"
    assert repr(server.sparks[0]) == f"<Spark {session.id} open browserchannel>"


def test_no_noop_where_nothing_is_taken(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=10)
    session, query = server.open()
    back = gevent.spawn(next, server.back(query, streams=True))
    turn(2)
    session.tick(server.now)
    session.send("x" * 100)
    session.tick(server.now + 21)
    assert back.get(timeout=5) == chunk([1, "x" * 100])
    assert session._arrays.waiting == 0


def test_goodbye_is_remembered_for_a_while(serve: Callable[..., Server]) -> None:
    """The spark is done when it was sent."""
    server = serve(close_timeout=5.0)
    session, query = server.open()
    server.sparks[0].end()
    assert server.primus._open_sockets == 1
    said = chunk([1, '"primus::server::close"'], [2, ["stop"]])
    assert list(server.back(query)) == [said]
    assert server.primus._open_sockets == 0
    session.tick(server.now)
    for seconds in (1, 3, 4):
        assert list(server.back(query)) == [said]  # this does not keep it
        session.tick(server.now + seconds)
    assert server.sessions.get(session.id) is session
    session.tick(server.now + 6)
    assert server.sessions.get(session.id) is None
    assert server.primus.dropped_counts == {}


def test_goodbye_that_nobody_fetches(serve: Callable[..., Server]) -> None:
    server = serve(close_timeout=5.0)
    session, _ = server.open()
    server.sparks[0].end()
    session.tick(server.now)
    session.tick(server.now + 6)
    assert (session.state, server.primus._open_sockets) == ("gone", 0)
    assert server.primus.dropped_counts == {"undelivered packets": 1}


def test_goodbye_in_the_first_answer(serve: Callable[..., Server]) -> None:
    server = serve()
    server.on_spark = lambda spark: spark.end("bye")
    session, _ = server.open()
    assert session.state == "closing"
    assert server.primus._open_sockets == 0


def test_first_answer_that_is_not_sent(serve: Callable[..., Server]) -> None:
    server = serve()
    server.on_spark = lambda spark: spark.end()
    chunks, _, _ = server.begin("RID=1", "POST", b"count=0")
    chunks.close()
    (session,) = server.sessions
    assert server.primus._open_sockets == 1
    sid = f"SID={session.id}"
    assert list(server.back(sid, aid=0)) == [chunk([1, '"primus::server::close"'], [2, ["stop"]])]
    assert server.primus._open_sockets == 0


# -- the back channel


def test_piece_that_is_not_sent_goes_again(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    session.send("one")
    back = server.back(query)
    assert next(back) == chunk([1, "one"])
    back.close()  # type: ignore[attr-defined]
    assert session.carrier is None
    session.send("two")
    assert list(server.back(query)) == [chunk([1, "one"], [2, "two"])]
    assert list(server.back(query, aid=1)) == [chunk([2, "two"])]


def test_a_chunk_has_a_limit(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=10 << 20)
    session, query = server.open()
    for _ in range(3):
        session.send("x" * 600_000)
    assert list(server.back(query)) == [chunk([1, "x" * 600_000])]
    assert list(server.back(query, aid=1)) == [chunk([2, "x" * 600_000])]


def test_writer_is_let_go_when_the_client_acknowledges(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=1000)
    session, query = server.open()
    written = []

    def write() -> None:
        for number in range(3):
            server.sparks[0].write("x" * 900)
            written.append(number)

    writer = gevent.spawn(write)
    turn(3)
    assert (written, session.full) == ([0], True)
    list(server.back(query))
    turn(3)
    assert written == [0]  # it was sent, but may be lost
    server.ask(query + "&RID=2&AID=2", "POST", b"count=0")
    turn(3)
    assert written == [0, 1, 2]
    session.abort()
    writer.get(timeout=5)


def test_writer_is_let_go_when_enough_is_acknowledged(serve: Callable[..., Server]) -> None:
    """At a quarter of the buffer, not one message after the other."""
    server = serve(write_buffer=1000)
    session, query = server.open()
    for _ in range(4):
        session.send("x" * 298)
    writer = gevent.spawn(server.sparks[0].write, "x")
    turn(3)
    list(server.back(query))
    for aid in range(1, 5):
        assert not writer.ready()
        server.ask(query + f"&RID={aid + 1}&AID={aid}", "POST", b"count=0")
        turn(3)
    assert writer.ready()


def test_writer_is_let_go_at_the_end(serve: Callable[..., Server]) -> None:
    server = serve(write_buffer=100)
    session, _ = server.open()
    writer = gevent.spawn(server.sparks[0].write, "x" * 900)
    turn(3)
    assert not writer.ready()
    session.abort()
    writer.get(timeout=5)
    assert session._arrays.size == 0


def test_back_channel_that_another_one_replaces(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    old = gevent.spawn(lambda: b"".join(server.back(query, streams=True)))
    turn(2)
    first = session.carrier
    new = gevent.spawn(lambda: b"".join(server.back(query, streams=True)))
    turn(3)
    assert old.get(timeout=5) == b""
    assert session.carrier is not None
    assert session.carrier is not first
    session.send("x")
    turn(3)
    session.abort()
    assert new.get(timeout=5) == chunk([1, "x"])


# -- the forward channel


def test_post_that_comes_when_the_session_has_ended(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    server.on_spark = lambda spark: None
    session.pause()
    post = gevent.spawn(server.ask, query + "&RID=2", "POST", b"count=1&ofs=0&req0__S=1")
    turn(3)
    assert not post.ready()
    session.abort()
    assert post.get(timeout=5)[0] == "403 Forbidden"
    assert server.received == []


@pytest.mark.parametrize("body", [b"&req1_JSON={", b"&req1_JSON=NaN&req2__S=3"])
def test_json_that_is_none(serve: Callable[..., Server], body: bytes) -> None:
    server = serve()
    session, query = server.open()
    body = b"count=3&ofs=0&req0__S=1" + body
    assert server.ask(query + "&RID=2", "POST", body)[0] == "403 Forbidden"
    assert server.received == [1]
    assert session.state == "gone"
    assert not server.sparks[0].clean


def test_goodbye_of_the_client(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    assert server.ask(query + "&RID=3&TYPE=terminate") == ("200 OK", b"")
    assert session.state == "open"
    assert server.ask(query + "&RID=2", "POST", b"count=1&ofs=0&req0__S=1")[0] == "403 Forbidden"
    assert server.received == [1]
    assert session.state == "gone"
    assert server.sparks[0].clean


def test_bytes_are_text_on_the_wire(serve: Callable[..., Server]) -> None:
    server = serve()
    session, query = server.open()
    raw: list[Any] = []
    server.sparks[0].on("incoming::data", raw.append)
    server.ask(query + "&RID=2", "POST", b"count=1&ofs=0&req0__S=primus%3A%3Abinary%3A%3AAP8%3D")
    assert raw == [b"\x00\xff"]
    session.send(b"\xff\x00")
    assert list(server.back(query)) == [chunk([1, "primus::binary::/wA="])]


def test_message_that_is_too_long(serve: Callable[..., Server]) -> None:
    """What came in front of it still counts."""
    server = serve(max_length=10)
    session, query = server.open()
    body = b"count=3&ofs=0&req0__S=1234567890&req1__S=12345678901&req2__S=1"
    assert server.ask(query + "&RID=2", "POST", body)[0] == "403 Forbidden"
    assert server.received == [1234567890]
    assert session.state == "gone"


def test_body_limit(serve: Callable[..., Server]) -> None:
    server = serve(transport={"max_http_buffer_size": 20})
    _, query = server.open()
    assert server.ask(query + "&RID=2", "POST", b"count=0&" + b"x" * 12)[0] == "200 OK"
    assert server.ask(query + "&RID=3", "POST", b"count=0&" + b"x" * 13)[0].startswith("413 ")
    assert server.ask("RID=3", "POST", b"count=0&" + b"x" * 13)[0].startswith("413 ")
    assert len(server.sessions) == 1


def test_no_room(serve: Callable[..., Server]) -> None:
    server = serve(max_connections=1)
    server.open()
    assert server.ask("RID=1", "POST", b"count=0")[0] == "503 Service Unavailable"
    assert len(server.sessions) == 1


def test_reconnect_is_in_order(serve: Callable[..., Server]) -> None:
    """The end of the session before comes before the next connection."""
    server = serve()
    seen: list[str] = []
    server.on_spark = lambda spark: seen.append("connection")
    server.primus.on("disconnection", lambda spark: seen.append("disconnection"))
    session, _ = server.open()
    server.ask(f"RID=1&OSID={session.id}&OAID=0", "POST", b"count=0")
    assert seen == ["connection", "disconnection", "connection"]


def test_layers_of_the_user(serve: Callable[..., Server]) -> None:
    """Their headers are on every answer; the protocol's own win."""
    server = serve()

    def mark(request: Any, response: Any) -> None:
        response.headers["X-Mark"] = "here"
        response.headers["Cache-Control"] = "public"
        response.headers["Content-Type"] = "text/css"

    server.primus.use("mark", mark)
    _, query = server.open()
    for more in ("&RID=rpc&TYPE=nothing", "&TYPE=terminate"):
        _, _, headers = server.begin(query + more)
        names = [name for name, _ in headers]
        assert ("X-Mark", "here") in headers
        assert ("Content-Type", "text/plain") in headers
        assert names.count("Cache-Control") == names.count("Content-Type") == 1
