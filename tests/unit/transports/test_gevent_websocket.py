"""gevent-websocket's reader made a protocol: greenlets that come and go, limits that it lacks, frames."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub
from greenlet import greenlet

from primus_gevent.protocols.websocket import (
    Close,
    Failure,
    Ping,
    WebSocketProtocol,
    prepare_binary,
    prepare_text,
)
from primus_gevent.transports import gevent_websocket as module
from primus_gevent.transports.flusher import Flusher
from primus_gevent.transports.gevent_websocket import GeventWebSocketProtocol, GeventWebSocketTransport
from primus_gevent.transports.websocket import WebSocketLimits
from tests.unit.hub import eventually, in_hub
from tests.unit.protocols.wire import build, feed, single_bytes
from tests.unit.transports.wire import CountingSocket, Peer, Recorder, tcp_pair

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(autouse=True)
def readers() -> Iterator[list[greenlet]]:
    """The idle greenlets of this thread: none to begin with."""
    module.idle_readers().clear()
    gc.collect()
    # Held until the test is over: what ends meanwhile of other tests would be missed here.
    older[:] = [thing for thing in gc.get_objects() if type(thing) in (greenlet, GeventWebSocketProtocol)]
    yield module.idle_readers()
    older.clear()
    module.idle_readers().clear()


# What was there before the test.
older: list[Any] = []


def living(kind: type = greenlet) -> int:
    """Greenlets that read or wait for something to read, or other objects, of this test."""
    gc.collect()
    before = {id(thing) for thing in older}
    return sum(
        type(thing) is kind and id(thing) not in before and not getattr(thing, "dead", False)
        for thing in gc.get_objects()
    )


# -- greenlets


def test_whole_messages_need_one_greenlet_for_all_connections(readers: list[greenlet]) -> None:
    protocols = [GeventWebSocketProtocol() for _ in range(10)]
    before = living()
    for _ in range(3):
        for protocol in protocols:
            assert protocol.receive(build(TEXT, b"one") + build(BINARY, b"two")) == ["one", b"two"]
            assert not protocol.partial
    assert len(readers) == 1
    assert living() == before + 1


@pytest.mark.parametrize(
    "part",
    [b"\x81", build(TEXT, b"hello")[:-1], build(TEXT, b"hello", fin=False), build(PING, b"x")[:4]],
    ids=["header", "payload", "fragment", "ping"],
)
def test_a_part_of_a_message_keeps_one(part: bytes, readers: list[greenlet]) -> None:
    waiting, other = GeventWebSocketProtocol(), GeventWebSocketProtocol()
    assert waiting.receive(part) == []
    assert waiting.partial
    assert readers == []
    assert other.receive(build(TEXT, b"other")) == ["other"]
    waiting.stop()
    assert not waiting.partial


def test_nothing_is_kept_after_a_ping(readers: list[greenlet]) -> None:
    protocol = GeventWebSocketProtocol()
    assert protocol.receive(build(PING, b"?")) == [Ping(b"?")]
    assert protocol.receive(build(PONG, b"!")) == []
    assert not protocol.partial
    assert len(readers) == 1


def test_after_many_halves_only_some_are_kept(readers: list[greenlet]) -> None:
    protocols = [GeventWebSocketProtocol() for _ in range(3 * module.MAX_IDLE)]
    first, second = build(TEXT, b"halves")[:5], build(TEXT, b"halves")[5:]
    before = living()
    assert feed(protocols[0], [first]) == []
    for protocol in protocols[1:]:
        protocol.receive(first)
    assert living() == before + len(protocols)
    assert [protocol.receive(second) for protocol in protocols] == [["halves"]] * len(protocols)
    assert len(readers) == module.MAX_IDLE
    assert living() == before + module.MAX_IDLE


def test_what_is_stopped_leaves_nothing() -> None:
    """A greenlet that waits is no garbage by itself, though nobody else knows its protocol."""
    before = living(), living(GeventWebSocketProtocol)
    protocol = GeventWebSocketProtocol()
    protocol.receive(build(TEXT, b"x" * 1000)[:500])
    assert living() == before[0] + 1
    protocol.stop()
    protocol.stop()
    del protocol
    assert (living(), living(GeventWebSocketProtocol)) == before


def test_stop_comes_back_to_its_caller() -> None:
    """The reader was last switched to by the hub, and would go there when it ends."""
    protocol = GeventWebSocketProtocol()
    in_hub(protocol.receive, build(TEXT, b"hello")[:4])
    assert protocol.partial
    stopped = gevent.spawn(protocol.stop)
    stopped.join(5)
    assert stopped.successful()
    assert not protocol.partial


def test_each_thread_has_its_own(readers: list[greenlet]) -> None:
    GeventWebSocketProtocol().receive(build(TEXT, b"here"))
    assert len(readers) == 1
    got: list[Any] = []
    thread = threading.Thread(
        target=lambda: got.extend(GeventWebSocketProtocol().receive(build(TEXT, b"there")))
    )
    thread.start()
    thread.join(10)
    assert got == ["there"]
    assert len(readers) == 1


# -- limits


def test_an_announced_length_costs_nothing() -> None:
    protocol = GeventWebSocketProtocol(max_length=1 << 40)
    tracemalloc.start()
    try:
        assert protocol.receive(build(BINARY, b"", announce=1 << 39, form=64)) == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    protocol.stop()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (build(TEXT, b"x" * 101)[:10], 1009),
        (build(TEXT, b"x" * 60, fin=False) + build(0, b"", announce=41), 1009),
        (build(TEXT, b"", fin=False) + build(0, b"", fin=False) * 3 + build(0), 1008),
        (build(TEXT, b"x", key=None), 1002),
        (build(TEXT, b"x", rsv=4), 1002),
        (build(3, b"x"), 1002),
        (build(11, b"x"), 1002),
        (build(0, b"x"), 1002),
        (build(TEXT, b"x", fin=False) + build(TEXT, b"x"), 1002),
        (build(PING, b"x", fin=False), 1002),
        (build(PING, b"x" * 126), 1002),
        (build(CLOSE, b"x"), 1002),
        (build(CLOSE, b"\x03\xed"), 1002),
        (build(CLOSE, b"\x03\xe8\xff"), 1007),
        (build(TEXT, b"\xff"), 1007),
        (build(TEXT, "é".encode()[:1]), 1007),
        (build(TEXT, "é".encode()[:1], fin=False) + build(0), 1007),
        (build(TEXT, b"\xc3", fin=False) + build(0, b"\x28", fin=False), 1007),
        (build(TEXT, b"\xed\xa0\x80"), 1007),
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "single bytes"])
def test_what_ends_a_connection(data: bytes, code: int, cut: bool) -> None:
    protocol = GeventWebSocketProtocol(max_length=100, max_fragments=4)
    before = build(BINARY, b"before")
    data = before + data
    events = feed(protocol, single_bytes(data) if cut else [data])
    assert events[0] == b"before"
    (failure,) = events[1:]
    assert isinstance(failure, Failure)
    assert (failure.code, bool(failure.reason)) == (code, True)
    ignored = protocol.ignored_bytes
    assert protocol.receive(build(TEXT, b"too late")) == []
    assert protocol.ignored_bytes > ignored
    assert not protocol.partial


def test_a_character_may_be_cut_between_fragments() -> None:
    one, two, three = "é".encode()[:1], "é".encode()[1:] + "€".encode()[:2], "€".encode()[2:]
    data = build(TEXT, one, fin=False) + build(PING) + build(0, two, fin=False) + build(0, three)
    assert GeventWebSocketProtocol().receive(data) == [Ping(b""), "é€"]


def test_the_limits_are_for_each_message() -> None:
    protocol = GeventWebSocketProtocol(max_length=10, max_fragments=2)
    halves = build(BINARY, b"12345", fin=False) + build(0, b"67890")
    assert protocol.receive(halves * 3 + build(TEXT, b"1234567890")) == [b"1234567890"] * 3 + ["1234567890"]


@pytest.mark.parametrize(
    ("payload", "event"),
    [(b"", Close(1005, "")), (b"\x03\xe8", Close(1000, "")), (b"\x0f\xa1why\xc3\xa9", Close(4001, "whyé"))],
)
def test_what_the_peer_says_at_the_end(payload: bytes, event: Close) -> None:
    protocol = GeventWebSocketProtocol()
    late = build(TEXT, b"late")
    assert protocol.receive(build(TEXT, b"last") + build(CLOSE, payload) + late) == ["last", event]
    assert protocol.close_received
    assert protocol.ignored_bytes == len(late)
    assert protocol.receive(late) == []


# -- frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 100_000])
def test_its_frames_are_those_of_websockets(size: int) -> None:
    """A broadcast is framed once for connections of both: they have the same `framing`."""
    ours, theirs = WebSocketProtocol(), GeventWebSocketProtocol()
    text, data = "é" * (size // 2) + "x" * (size % 2), b"\x00" * size
    transport = GeventWebSocketTransport.__new__(GeventWebSocketTransport)
    assert theirs.text(text) == transport.prepare(text) == ours.text(text) == prepare_text(text)
    assert theirs.binary(data) == transport.prepare(data) == ours.binary(data) == prepare_binary(data)
    assert type(theirs.binary(bytearray(data))) is bytes


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        GeventWebSocketProtocol().text("\ud800")


# -- on a connection


class Link:
    """A started transport with its receiver and its peer."""

    def __init__(self, **limits: Any) -> None:
        server, client = tcp_pair()
        server.setblocking(False)
        self.peer = Peer(client)
        self.receiver = Recorder()
        self.protocol = GeventWebSocketProtocol(max_length=1 << 20, max_fragments=4)
        self.transport = GeventWebSocketTransport(
            CountingSocket(server), self.protocol, WebSocketLimits(**limits), Flusher.of(get_hub())
        )
        self.transport.start(self.receiver, build(TEXT, b"early"))


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    eventually(lambda: link.receiver.messages == ["early"])
    yield link
    link.transport.abort()
    link.peer.sock.close()


def test_messages_arrive_in_the_hub(link: Link) -> None:
    link.peer.send(build(TEXT, b"a") + build(PING, b"p") + build(BINARY, b"\xff"))
    eventually(lambda: len(link.receiver.messages) == 3)
    assert link.receiver.messages[1:] == ["a", b"\xff"]
    (pong,) = link.peer.receive(1)
    assert pong.payload == b"p"
    link.transport.send("text")
    link.transport.send_prepared(link.transport.prepare(b"bytes"))
    assert link.peer.receive(2) == ["text", b"bytes"]


def test_a_connection_that_is_cut_within_a_message_lets_its_greenlet_go(link: Link) -> None:
    link.peer.send(build(TEXT, b"x" * 1000)[:500])
    eventually(lambda: link.protocol.partial)
    link.peer.reset()
    eventually(lambda: ("gone",) in link.receiver.calls)
    assert link.receiver.calls == [("closed", False), ("gone",)]
    assert not link.protocol.partial


def test_so_does_one_that_its_user_cuts(link: Link) -> None:
    link.peer.send(build(TEXT, b"x", fin=False))
    eventually(lambda: link.protocol.partial)
    done = gevent.spawn(link.transport.abort)
    done.join(5)
    assert done.successful()
    assert not link.protocol.partial


def test_one_that_is_cut_by_what_it_said(link: Link) -> None:
    """The receiver ends the connection while the reader waits behind it for the rest of the next message."""
    link.receiver.on_messages = lambda messages: link.transport.abort()
    link.peer.send(build(TEXT, b"cut") + build(TEXT, b"next")[:3])
    eventually(lambda: ("gone",) in link.receiver.calls)
    assert link.receiver.messages == ["early", "cut"]
    assert not link.protocol.partial


def test_a_bug_in_the_package_ends_this_connection_only(
    link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_message(self: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(module._WebSocket, "read_message", read_message)
    link.peer.send(build(TEXT, b"x"))
    eventually(lambda: ("gone",) in link.receiver.calls)
    assert "KeyError" in caplog.text
    assert not link.protocol.partial


def test_the_close_handshake(link: Link) -> None:
    link.transport.close(4321, "enough")
    assert link.peer.receive(1) == [Close(4321, "enough")]
    link.peer.send(build(CLOSE, b"\x10\xe1thanks"))
    assert link.peer.receive_all() == []
    link.peer.sock.close()
    eventually(lambda: ("gone",) in link.receiver.calls)
    assert link.receiver.calls == [("closed", True), ("gone",)]
    assert (link.transport.close_code, link.transport.close_reason) == (4321, "thanks")
