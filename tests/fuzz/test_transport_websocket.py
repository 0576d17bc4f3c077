"""Any bytes into a live connection: nothing reaches the hub as an error, nothing bad reaches a handler, and
the peer is told the right code.

What the bytes mean is asked of the codec by itself; `test_websocket_codec` is about that. Here it must come
through the transport, the spark and a real socket unchanged, whole and byte by byte.
"""

from __future__ import annotations

import os
from typing import Any

import gevent
import pytest
from gevent import get_hub
from hypothesis import given, settings
from hypothesis import strategies as st

from primus_gevent import Primus
from primus_gevent.parsers import json
from primus_gevent.protocols.websocket import Close, Failure, WebSocketProtocol
from primus_gevent.request import RequestRecord
from primus_gevent.transports.flusher import Flusher
from primus_gevent.transports.websocket import WebSocketLimits, WebSocketTransport
from tests.unit.hub import eventually, hub_errors, turn
from tests.unit.protocols.wire import build
from tests.unit.transports.wire import CountingSocket, Peer, tcp_pair

pytestmark = pytest.mark.fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))

MAX_LENGTH = 200
MAX_FRAGMENTS = 5
MARKER = '"the last message of all"'

texts = st.one_of(
    st.sampled_from(
        ["1", "null", '"x"', '{"a":[1]}', '"primus::ping::1"', '"primus::id::"', '"primus::x::1"']
    ),
    st.sampled_from(["", "{", "nul", '"\\ud800"', "[" * 150, "NaN", "\u2028", '"primus::']),
    st.text(max_size=30),
)
payloads = st.one_of(texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=30))
frames = st.builds(
    build,
    st.one_of(st.sampled_from([0, 1, 1, 1, 1, 1, 2, 9, 10]), st.sampled_from([8, 8, 3, 11, 15])),
    payloads,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0] * 12 + [4, 2, 1]),
    key=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.none()),
)
streams = st.one_of(
    st.lists(frames, max_size=10).map(b"".join),
    st.lists(st.one_of(frames, st.binary(max_size=5)), max_size=6).map(b"".join),
    st.binary(max_size=100),
    st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", build(1, b"", form=64, announce=1 << 63), b"\x81\x00" * 50]),
)


def expected(data: bytes) -> tuple[list[Any], int | None]:
    """The messages in these bytes, and the close code that they deserve."""
    messages: list[Any] = []
    for event in WebSocketProtocol(max_length=MAX_LENGTH, max_fragments=MAX_FRAGMENTS).receive(data):
        if isinstance(event, (str, bytes)):
            messages.append(event)
        elif isinstance(event, (Close, Failure)):
            return messages, event.code
    return messages, None


def decoded(messages: list[Any]) -> tuple[list[Any], int]:
    """What a handler is to see of these messages, and how many are errors."""
    values, errors = [], 0
    for raw in messages:
        try:
            value = json.decoder(raw)
        except (ValueError, RecursionError):
            errors += 1
            continue
        if isinstance(value, str) and value.startswith(("primus::ping:", "primus::id:", "primus::pong:")):
            continue
        values.append(value)
    return values, errors


class Session:
    """A spark over a real connection, with a handler that takes messages in one of two ways."""

    def __init__(self, style: str) -> None:
        self.primus = Primus(max_length=MAX_LENGTH)
        self.got: list[Any] = []
        self.errors = 0
        self.ended: list[Any] = []
        self.primus.on("log", self.count)
        self.primus.on("connection", getattr(self, style))
        self.primus.on("disconnection", self.ended.append)
        server, client = tcp_pair()
        server.setblocking(False)
        self.peer = Peer(client)
        protocol = WebSocketProtocol(max_length=MAX_LENGTH, max_fragments=MAX_FRAGMENTS)
        limits = WebSocketLimits()
        self.transport = WebSocketTransport(CountingSocket(server), protocol, limits, Flusher.of(get_hub()))
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/primus"}
        self.spark = self.primus.make_spark(self.transport, RequestRecord(environ))
        self.transport.start(self.spark)
        self.primus.connect(self.spark)
        turn()

    def count(self, level: str, error: Any, spark: Any) -> None:
        self.errors += 1

    def reads(self, spark: Any) -> None:
        for message in spark:
            self.got.append(message)

    def listens(self, spark: Any) -> None:
        spark.on("data", self.take)

    def take(self, message: Any) -> None:
        self.got.append(message)

    def send(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            try:
                self.peer.send(piece)
            except OSError:
                return  # we hung up meanwhile, as we may
            turn()

    def close(self) -> None:
        self.spark.abort()
        self.peer.sock.close()
        turn()
        self.primus.destroy()


@pytest.mark.parametrize("style", ["reads", "listens"])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "single bytes"])
@settings(max_examples=EXAMPLES)
@given(data=streams)
def test_any_bytes(style: str, cut: bool, data: bytes) -> None:
    messages, code = expected(data)
    values, failures = decoded(messages)
    session = Session(style)
    try:
        with hub_errors() as errors:
            session.send([data[i : i + 1] for i in range(len(data))] if cut else [data])
            if code is None:
                # Lawful so far, so nobody hung up: what comes next says whether it is all taken in order.
                session.spark.on("error", lambda error: None)
                eventually(lambda: len(session.got) >= len(values) and session.errors >= failures)
                assert session.spark.writable
                assert not session.ended
            else:
                closes = [event for event in session.peer.receive_all() if isinstance(event, Close)]
                assert [close.code for close in closes] == [code]
                eventually(lambda: session.ended)
                assert session.ended == [session.spark]
            assert session.got == values
            assert session.errors == failures
        assert errors == []
    finally:
        session.close()


@settings(max_examples=EXAMPLES)
@given(before=st.lists(st.sampled_from(["1", "{", '"primus::ping::1"', "null"]), max_size=8), data=streams)
def test_one_connections_garbage_is_nothing_to_its_neighbour(before: list[str], data: bytes) -> None:
    bad, good = Session("listens"), Session("reads")
    try:
        with hub_errors() as errors:
            good.send([build(1, text.encode()) for text in before])
            bad.send([data])
            good.send([build(1, MARKER.encode())])
            eventually(lambda: good.got and good.got[-1] == json.decoder(MARKER))
            assert good.got[:-1] == decoded(list(before))[0]
            assert good.spark.writable
        assert errors == []
    finally:
        bad.close()
        good.close()


@settings(max_examples=EXAMPLES)
@given(data=streams, cut=st.integers(0, 100), how=st.sampled_from(["fin", "reset"]))
def test_a_connection_that_is_lost_anywhere(data: bytes, cut: int, how: str) -> None:
    session = Session("reads")
    try:
        with hub_errors() as errors:
            session.send([data[:cut]])
            if how == "fin":
                session.peer.sock.close()
            else:
                session.peer.reset()
            eventually(lambda: session.ended)
            eventually(lambda: not session.primus._open_sockets)
            assert session.ended == [session.spark]
            assert session.got == decoded(expected(data[:cut])[0])[0][: len(session.got)]
        assert errors == []
    finally:
        session.close()


def test_nothing_is_left_of_all_this() -> None:
    """Not a property of one input: after a hundred bad connections the loop has no watcher of theirs."""
    before = get_hub().loop.activecnt
    for i in range(100):
        session = Session("reads")
        session.send([build(i % 16, b"x" * (i % 7), rsv=i % 2)])
        session.close()
    turn(3)
    gevent.idle()
    assert get_hub().loop.activecnt <= before + 1
