"""A connection in memory is to a spark and a client what a WebSocket over TCP is: the same tests for both.

What only the pipe has, and what takes real time with sockets, is below, in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub

from primus_gevent.errors import LocalProtocolError
from primus_gevent.protocols.websocket import WebSocketProtocol
from primus_gevent.testing.pipe import NETWORK_BYTES, Pipe
from primus_gevent.testing.virtual import VirtualTime
from primus_gevent.transports.flusher import Flusher
from primus_gevent.transports.websocket import WebSocketLimits, WebSocketTransport
from tests.unit.hub import eventually, in_hub, turn
from tests.unit.transports.wire import Recorder, tcp_pair

MAX_LENGTH = 1 << 20


class Pair:
    """Two connected ends, and what was reported at each."""

    def __init__(self, near: Any, far: Any) -> None:
        self.near, self.far = near, far
        self.at_near, self.at_far = Recorder(), Recorder()

    def start(self) -> Pair:
        self.near.start(self.at_near)
        self.far.start(self.at_far)
        return self

    def abort(self) -> None:
        for end in (self.near, self.far):
            in_hub(end.abort)


def pipe(**limits: Any) -> Pair:
    made = Pipe(get_hub())
    kept = WebSocketLimits(**limits)
    return Pair(made.server.bound(kept, MAX_LENGTH), made.client.bound(kept, MAX_LENGTH))


def websocket(**limits: Any) -> Pair:
    kept = WebSocketLimits(**limits)
    ends = []
    for client, sock in zip((False, True), tcp_pair(4096), strict=True):
        sock.setblocking(False)
        protocol = WebSocketProtocol(client=client, max_length=MAX_LENGTH)
        ends.append(WebSocketTransport(sock, protocol, kept, Flusher.of(get_hub())))
    return Pair(*ends)


@pytest.fixture(params=[pipe, websocket], ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def factory(**limits: Any) -> Pair:
        made.append(request.param(**limits).start())
        return made[-1]

    yield factory
    for pair in made:
        pair.abort()


CLEAN = [("closed", True), ("gone",)]
LOST = [("closed", False), ("gone",)]


def test_messages_arrive_in_order_as_what_they_are(make: Any) -> None:
    pair = make()
    sent = ["text", b"bytes", "", b"", "ü☃𝄞", bytearray(b"array"), *(f"{n}" for n in range(100))]
    for payload in sent:
        pair.near.send(payload)
    pair.near.send_prepared(pair.near.prepare("prepared"))
    pair.near.send_prepared(pair.near.prepare(b"prepared"))
    eventually(lambda: len(pair.at_far.messages) == len(sent) + 2)
    assert pair.at_far.messages == [*sent, "prepared", b"prepared"]
    pair.far.send("back")
    eventually(lambda: pair.at_near.messages)
    assert pair.at_near.messages == ["back"]
    assert pair.far.active
    assert (pair.near.full, pair.near.buffered, pair.near.paused) == (False, 0, False)


def test_what_cannot_be_sent_is_refused_and_costs_nothing(make: Any) -> None:
    pair = make()
    with pytest.raises(UnicodeEncodeError):
        pair.near.send("\ud800")
    with pytest.raises(TypeError):
        pair.near.send(None)
    pair.near.send("fine")
    eventually(lambda: pair.at_far.messages)
    assert pair.at_far.messages == ["fine"]


@pytest.mark.parametrize("code", [1000, 1012, 4000])
def test_a_goodbye_is_one_for_both(make: Any, code: int) -> None:
    pair = make()
    pair.near.send("last words")
    pair.near.close(code, "because")
    assert pair.at_near.calls == [("closed", True)]
    pair.near.send("too late")
    pair.near.close(1001)
    eventually(lambda: pair.at_near.calls == pair.at_far.calls == CLEAN)
    assert pair.at_far.messages == ["last words"]
    assert (pair.far.close_code, pair.far.close_reason) == (code, "because")
    assert pair.near.close_code == code
    assert pair.far.failure is None
    assert pair.near.wait_gone(0)
    assert pair.near.peer_left()


def test_a_goodbye_without_a_code(make: Any) -> None:
    pair = make()
    pair.near.close(None)
    eventually(lambda: pair.at_near.calls == pair.at_far.calls == CLEAN)
    assert pair.far.close_code == 1005


def test_a_code_that_may_not_be_sent(make: Any) -> None:
    pair = make()
    with pytest.raises(LocalProtocolError, match="1006"):
        pair.near.close(1006)
    pair.near.send("alive")
    eventually(lambda: pair.at_far.messages)


def test_both_say_goodbye_at_once(make: Any) -> None:
    pair = make()
    in_hub(lambda: (pair.near.close(1000), pair.far.close(1001)))
    eventually(lambda: pair.at_near.calls == pair.at_far.calls == CLEAN)
    assert (pair.near.close_code, pair.far.close_code) == (1001, 1000)


def test_what_comes_after_our_goodbye_is_not_wanted(make: Any) -> None:
    pair = make()
    in_hub(lambda: (pair.far.send("too late"), pair.near.close()))
    eventually(lambda: pair.at_near.calls == CLEAN)
    assert pair.at_near.messages == []


def test_a_connection_that_is_cut(make: Any) -> None:
    pair = make()
    in_hub(pair.near.abort)
    assert pair.at_near.calls == LOST
    eventually(lambda: pair.at_far.calls == LOST)
    assert pair.far.close_code is None
    pair.far.send("nobody hears it")
    pair.far.close()
    in_hub(pair.far.abort)
    assert pair.at_far.calls == LOST


def test_a_message_that_is_too_long_ends_it(make: Any) -> None:
    pair = make()
    pair.near.send("fits")
    pair.near.send("x" * (MAX_LENGTH + 1))
    pair.near.send("never read")
    eventually(lambda: pair.at_near.calls == CLEAN and pair.at_far.calls == LOST)
    assert pair.at_far.messages == ["fits"]
    assert pair.far.failure.code == pair.near.close_code == 1009
    assert pair.near.close_reason == pair.far.failure.reason


def test_who_does_not_read_makes_the_sender_wait(make: Any) -> None:
    pair = make(write_buffer=100_000)
    in_hub(pair.far.pause)
    assert pair.far.paused
    count = 0
    while not pair.near.full:
        pair.near.send(f"{count}:".ljust(10_000, "."))
        pair.near.flush()
        count += 1
    assert pair.near.buffered > 100_000
    waiting = gevent.spawn(pair.near.wait_writable)
    turn(5)
    assert not waiting.ready()
    assert pair.at_far.messages == []
    in_hub(pair.far.resume)
    eventually(waiting.ready)
    assert not pair.near.full
    eventually(lambda: len(pair.at_far.messages) == count)
    assert [message.partition(":")[0] for message in pair.at_far.messages] == [f"{n}" for n in range(count)]
    pair.near.wait_writable()  # returns at once


def test_who_stops_reading_in_between_gets_no_more(make: Any) -> None:
    pair = make()
    pair.at_far.on_messages = lambda messages: pair.far.pause()
    for n in range(300):
        pair.near.send(f"{n}".ljust(1000))
    eventually(lambda: pair.at_far.messages)
    turn(5)
    first = len(pair.at_far.messages)
    assert first < 300
    in_hub(pair.far.resume)
    eventually(lambda: len(pair.at_far.messages) > first)
    assert [int(message) for message in pair.at_far.messages] == list(range(len(pair.at_far.messages)))


def test_who_waits_to_write_is_let_go_by_the_end(make: Any) -> None:
    pair = make(write_buffer=1000)
    in_hub(pair.far.pause)
    while not pair.near.full:
        pair.near.send("x" * 10_000)
        pair.near.flush()
    waiting = gevent.spawn(pair.near.wait_writable)
    turn()
    in_hub(pair.near.abort)
    eventually(waiting.ready)
    assert not pair.near.full


def test_a_paused_end_sees_that_the_other_side_has_left(make: Any) -> None:
    pair = make()
    in_hub(pair.far.pause)
    pair.near.send("unread")
    turn(2)
    assert not pair.far.peer_left()
    in_hub(pair.near.abort)
    eventually(pair.far.peer_left)
    assert pair.at_far.calls == []
    in_hub(pair.far.resume)
    eventually(lambda: pair.at_far.calls == LOST)
    assert pair.at_far.messages == ["unread"]


def test_closing_reads_again(make: Any) -> None:
    pair = make()
    in_hub(pair.near.pause)
    in_hub(pair.near.close)
    eventually(lambda: pair.at_near.calls == pair.at_far.calls == CLEAN)


# -- time limits, and the network


def test_nothing_is_read_before_somebody_wants_it(virtual: VirtualTime) -> None:
    pair = pipe()
    pair.near.send("early")
    virtual.settle()
    pair.start()
    virtual.settle()
    assert pair.at_far.messages == ["early"]


def test_who_comes_too_late_is_told(virtual: VirtualTime) -> None:
    pair = pipe()
    pair.near.abort()
    pair.start()
    virtual.settle()
    assert pair.at_near.calls == pair.at_far.calls == LOST


def test_the_network_holds_something_too(virtual: VirtualTime) -> None:
    pair = pipe(write_buffer=1000).start()
    pair.far.pause()
    pair.near.send("x" * NETWORK_BYTES)
    virtual.settle()
    assert (pair.near.buffered, pair.near.full) == (0, False)
    pair.near.send("x" * 1001)
    virtual.settle()
    assert (pair.near.buffered, pair.near.full) == (1001, True)


def test_who_takes_nothing_for_too_long_is_cut_off(virtual: VirtualTime) -> None:
    pair = pipe(write_timeout=10).start()
    pair.far.pause()
    for _ in range(3):
        pair.near.send("x" * NETWORK_BYTES)
    virtual.advance(9)
    pair.far.resume()
    virtual.settle()
    pair.far.pause()
    virtual.advance(60)  # everything was taken: there is nothing to wait for
    assert pair.at_near.calls == []
    for _ in range(2):
        pair.near.send("x" * NETWORK_BYTES)
    virtual.advance(9.9)
    assert pair.at_near.calls == []
    virtual.advance(0.2)
    assert pair.at_near.calls == LOST
    pair.far.resume()
    virtual.settle()
    assert pair.at_far.calls == LOST
    assert len(pair.at_far.messages) == 4  # what the network had


def test_a_little_progress_is_enough(virtual: VirtualTime) -> None:
    pair = pipe(write_timeout=10).start()
    pair.far.pause()
    pair.at_far.on_messages = lambda messages: pair.far.pause()
    for _ in range(5):
        pair.near.send("x" * NETWORK_BYTES)
    for _ in range(3):
        virtual.advance(9)
        pair.far.resume()
    virtual.settle()
    assert (len(pair.at_far.messages), pair.at_near.calls) == (3, [])


def test_a_goodbye_that_is_not_answered(virtual: VirtualTime) -> None:
    pair = pipe(close_timeout=5).start()
    pair.near.pipe.set_silent(True)
    pair.near.close()
    virtual.advance(4.9)
    assert pair.at_near.calls == [("closed", True)]
    virtual.advance(0.2)
    assert pair.at_near.calls == CLEAN
    assert pair.at_far.calls == []
    assert not pair.far.peer_left()
    pair.near.pipe.set_silent(False)
    virtual.settle()
    assert pair.at_far.calls == CLEAN


def test_a_silent_network_tells_nobody_and_loses_nothing(virtual: VirtualTime) -> None:
    pair = pipe().start()
    pair.near.pipe.set_silent(True)
    pair.near.send("one")
    pair.far.send("two")
    virtual.advance(60)
    assert pair.at_near.messages == pair.at_far.messages == pair.at_near.calls == pair.at_far.calls == []
    pair.near.pipe.set_silent(False)
    virtual.settle()
    assert (pair.at_far.messages, pair.at_near.messages) == (["one"], ["two"])


def test_a_network_that_breaks_tells_both_and_loses_everything(virtual: VirtualTime) -> None:
    pair = pipe().start()
    pair.near.send("on its way")
    pair.near.pipe.cut()
    virtual.settle()
    assert pair.at_near.calls == pair.at_far.calls == LOST
    assert pair.at_far.messages == []


def test_a_ping_of_the_wire_is_heard_by_nobody(virtual: VirtualTime) -> None:
    pair = pipe().start()
    pair.near.ping(b"x")
    virtual.settle()
    assert pair.at_far.messages == []
    assert "open" in repr(pair.near)
