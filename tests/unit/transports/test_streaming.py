"""A response in pieces: what it carries, when it ends, and what is kept when it does not arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

import gevent
import pytest
from gevent import get_hub

from primus_gevent.session import CLOSING, GONE, OPEN, Packet, Session, SessionLimits, Sessions
from primus_gevent.transports.polling import Poll
from primus_gevent.transports.streaming import Stream
from tests.unit.hub import turn
from tests.unit.transports.wire import tcp_pair

LIMITS = SessionLimits(write_buffer=100, away_timeout=10, cut_timeout=2, close_timeout=5)
LIMIT = 1000


class Letters(Session):
    def encode(self, payload: Any) -> Packet:
        return str(payload)

    def goodbye(self) -> Sequence[Packet]:
        return ("bye",)

    def fill(self) -> tuple[Sequence[Packet], bytes]:
        packets = self.take()
        return packets, ",".join(map(str, packets)).encode()


class Spark:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def receive(self, messages: Any) -> None:
        self.calls.append(messages)

    def closed(self, clean: bool) -> None:
        self.calls.append(("closed", clean))

    def gone(self) -> None:
        self.calls.append("gone")


@pytest.fixture
def session() -> Iterator[Letters]:
    session = Letters(Sessions(lambda what: None), "1", LIMITS, get_hub())
    session.start(Spark())
    yield session
    session.abort()


def stream_of(session: Letters, sock: Any = None, **options: Any) -> tuple[Stream, Poll]:
    poll = Poll(get_hub(), sock)
    session.hold(poll)
    return Stream(session, poll, session.fill, **{"limit": LIMIT, "write_seconds": 5, **options}), poll


def later(stream: Stream) -> Any:
    """The next piece, which is not there yet."""
    greenlet = gevent.spawn(next, stream, b"the end")
    turn(2)
    assert not greenlet.ready()
    return greenlet


def test_pieces_in_order(session: Letters) -> None:
    stream, poll = stream_of(session, prelude=b"hello", end=b"over")
    assert next(stream) == b"hello"
    waiting = later(stream)
    assert poll.deadline == inf
    session.send("a")
    session.send("b")
    assert waiting.get(timeout=1) == b"a,b"
    assert poll.deadline < inf
    session.send("c")
    assert next(stream) == b"c"
    waiting = later(stream)
    session.close()
    assert waiting.get(timeout=1) == b"bye"
    assert session.state == CLOSING
    assert next(stream) == b"over"
    assert session.state == GONE  # the goodbye has arrived
    assert list(stream) == []
    stream.close()
    assert session.carrier is None


def test_it_ends_at_its_limit(session: Letters) -> None:
    stream, _ = stream_of(session, prelude=b"does not count", limit=4)
    next(stream)
    for text in ("ab", "cd"):
        session.send(text)
        assert next(stream) == text.encode()
    session.send("later")
    assert list(stream) == []
    assert session.carrier is None
    assert session.state == OPEN
    assert session.take() == ["later"]


def test_a_piece_that_is_not_sent_is_kept(session: Letters) -> None:
    stream, _ = stream_of(session)
    session.send("a")
    next(stream)
    session.send("b")
    next(stream)
    session.send("c")
    stream.close()  # the sending of "b" has failed
    assert session.take() == ["b", "c"]
    assert session.carrier is None
    session.tick(0)
    session.tick(LIMITS.cut_timeout + 1)
    assert session.state == GONE


def test_nothing_is_taken_twice_after_the_end(session: Letters) -> None:
    stream, _ = stream_of(session, limit=1)
    session.send("a")
    assert list(stream) == [b"a"]
    stream.close()
    assert session.take() == []


def test_client_that_hangs_up(session: Letters) -> None:
    server, client = tcp_pair()
    with server, client:
        server.setblocking(False)
        stream, _ = stream_of(session, server, end=b"over")
        waiting = later(stream)
        client.close()
        assert waiting.get(timeout=1) == b"the end"
        assert session.carrier is None


def test_another_request_takes_its_place(session: Letters) -> None:
    stream, poll = stream_of(session)
    waiting = later(stream)
    poll.dismiss()
    assert waiting.get(timeout=1) == b"the end"
    assert session.carrier is None
    # before it has begun to wait
    stream, poll = stream_of(session)
    poll.dismiss()
    session.send("a")
    assert list(stream) == []
    assert session.take() == ["a"]


def test_an_earlier_one_does_not_end_its_successor(session: Letters) -> None:
    stream, _ = stream_of(session)
    _, second = stream_of(session)
    stream.close()
    assert session.carrier is second


def test_session_that_is_aborted(session: Letters) -> None:
    stream, _ = stream_of(session)
    waiting = later(stream)
    session.abort()
    assert waiting.get(timeout=1) == b"the end"


def test_peer_that_takes_nothing(session: Letters) -> None:
    stream, poll = stream_of(session)
    session.send("a")
    next(stream)
    session.tick(poll.deadline + 1)
    assert session.state == GONE
