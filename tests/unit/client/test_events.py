"""The order and the arguments of the client's events, row by row as `tests/js/events.test.js` has them."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from primus_gevent.client import CLIENT_EVENTS, Socket
from primus_gevent.errors import (
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    RemoteProtocolError,
    UnexpectedResponse,
)
from primus_gevent.protocols.websocket import Failure
from tests.unit.client.scripted import FAILED, FAST, OPENING, World, texts, visible
from tests.unit.hub import turn

LONG = 600.0


@pytest.fixture
def world() -> World:
    return World()


# -- starting


def test_nothing_happens_before_the_caller_could_attach_listeners(world: World) -> None:
    client = world.make()
    assert (client.ready_state, world.transports) == (Socket.CLOSED, [])
    world.clock.advance(0)
    assert (client.ready_state, len(world.transports)) == (Socket.OPENING, 1)


def test_opening(world: World) -> None:
    assert world.client().events == OPENING


def test_opened_and_what_was_written_before(world: World) -> None:
    client = world.client()
    client.write({"a": 1})
    client.write("two")
    client.events.clear()
    world.transport.accept()
    assert client.events == [
        *("incoming::open", "readyStateChange open", "open"),
        *('outgoing::data {"a":1}', 'outgoing::data "two"'),
    ]
    assert world.transport.sent == ['{"a":1}', '"two"']
    assert client.is_open


def test_what_an_open_listener_writes_comes_after_what_was_written_before_it(world: World) -> None:
    client = world.client(queue_size=1)
    client.write("queued")
    client.on("open", lambda: client.write("in open"))
    world.transport.accept()
    assert world.transport.sent == texts("queued", "in open")


def test_manual_waits_for_open(world: World) -> None:
    client = world.client(manual=True)
    world.clock.advance(60)
    assert client.events == []
    client.open()
    turn()
    assert client.events == OPENING


def test_end_right_after_the_constructor_opens_nothing(world: World) -> None:
    client = world.make()
    client.end()
    world.clock.advance(60)
    assert client.events == ["end"]
    assert world.transports == []


def test_before_anything_happened(world: World) -> None:
    client = world.make(manual=True)
    assert (client.ready_state, client.socket, client.latency, client.online) == (
        Socket.CLOSED,
        None,
        0,
        True,
    )


@pytest.mark.parametrize("event", ["readyStateChange", "outgoing::url", "outgoing::open"])
def test_end_as_soon_as_it_is_opening(world: World, event: str) -> None:
    client = world.make(manual=True)
    client.once(event, lambda *_: client.end())
    client.open()
    turn(3)
    assert client.events[-1] == "end"
    assert all(transport.closed for transport in world.transports)
    assert world.clock.running == []


def test_open_while_opening_starts_again(world: World) -> None:
    client = world.client()
    client.open()
    turn()
    assert visible(client.events) == ["readyStateChange opening"]
    assert world.transports[0].closed
    world.transport.accept()
    assert client.is_open


def test_latency_is_how_long_opening_took(world: World) -> None:
    client = world.client()
    world.clock.advance(0.12)
    world.transport.accept()
    assert client.latency == pytest.approx(0.12)


def test_open_while_open_drops_the_old_connection(world: World) -> None:
    client = world.connected()
    old = world.transport
    client.open()
    turn()
    assert old.closed
    assert client.events == OPENING
    old.drop()
    old.message('"late"')
    assert client.events == OPENING
    world.transport.accept()
    assert client.is_open


def test_a_late_connection_of_a_dropped_attempt_is_closed(world: World) -> None:
    client = world.client()
    old = world.transport
    client.open()
    turn()
    old.connection.closed = False
    old.accept()
    assert old.connection.closed
    assert client.ready_state == Socket.OPENING


# -- ending


def test_the_server_ends_with_a_last_message(world: World) -> None:
    client = world.connected()
    world.transport.message('"bye"')
    world.transport.message('"primus::server::close"')
    world.transport.drop()
    assert client.events == [
        *('incoming::data "bye"', "data bye", 'incoming::data "primus::server::close"'),
        *("incoming::end", "readyStateChange end", "outgoing::end", "close", "end"),
    ]
    assert client.ready_state == Socket.CLOSED
    world.clock.advance(LONG)
    assert len(world.transports) == 1


def test_the_close_message_alone_ends_nothing(world: World) -> None:
    client = world.connected()
    world.transport.message('"primus::server::close"')
    assert visible(client.events) == []
    assert client.is_open


def test_end_with_data(world: World) -> None:
    client = world.connected()
    transport = world.transport
    assert client.end("last") is True
    turn()
    assert client.events == [
        *('outgoing::data "last"', "readyStateChange end", "outgoing::end", "close", "end")
    ]
    assert transport.sent == ['"last"']
    assert transport.closed
    assert client.socket is None
    transport.drop()
    assert client.end() is False
    world.clock.advance(LONG)
    assert len(client.events) == 5, "and nothing after it"


def test_none_is_a_last_message_too(world: World) -> None:
    world.connected().end(None)
    assert world.transport.sent == ["null"]


def test_end_while_the_first_connection_is_opening(world: World) -> None:
    client = world.client()
    client.events.clear()
    client.end()
    assert client.events == ["readyStateChange end", "outgoing::end", "close", "end"]
    world.transport.accept()
    world.clock.advance(LONG)
    assert client.ready_state == Socket.CLOSED
    assert len(client.events) == 4


def test_end_while_waiting_to_reconnect(world: World) -> None:
    client = world.connected()
    world.transport.drop()
    client.events.clear()
    client.end()
    world.clock.advance(LONG)
    assert client.events == ["end"]
    assert len(world.transports) == 1


def test_end_during_a_reconnect_attempt(world: World) -> None:
    client = world.connected(**FAST)
    world.transport.drop()
    world.clock.advance(0.02)
    client.events.clear()
    client.end()
    world.transport.accept()
    world.clock.advance(LONG)
    assert client.events == ["readyStateChange end", "outgoing::end", "close", "end"]


def test_end_in_a_close_listener_stays_the_end(world: World) -> None:
    client = world.connected()
    client.on("close", client.end)
    world.transport.drop()
    world.clock.advance(LONG)
    assert visible(client.events) == ["readyStateChange end", "close", "end"]


def test_the_close_message_of_one_connection_does_not_count_for_the_next(world: World) -> None:
    client = world.connected()
    world.transport.message('"primus::server::close"')
    client.open()
    turn()
    world.transport.drop()
    assert "end" not in client.events
    world.clock.advance(0.5)
    world.transport.accept()
    world.transport.drop()
    assert client.events.count("reconnecting") == 2


def test_open_after_end(world: World) -> None:
    client = world.connected()
    client.end()
    turn()
    client.events.clear()
    assert client.write("kept for the next connection")
    client.open()
    turn()
    world.transport.accept()
    assert visible(client.events) == ["readyStateChange opening", "readyStateChange open", "open"]
    assert world.transport.sent == ['"kept for the next connection"']


@pytest.mark.parametrize("event", ["incoming::open", "readyStateChange", "open"])
def test_end_in_a_listener_while_opening(world: World, event: str) -> None:
    client = world.client()
    client.once(event, lambda *_: client.end())
    client.write("queued")
    client.events.clear()
    world.transport.accept()
    world.clock.advance(LONG)
    assert client.ready_state == Socket.CLOSED
    assert client.events[-1] == "end"
    assert world.transport.sent == []
    assert len(world.transports) == 1
    assert world.clock.running == []


def test_destroy(world: World) -> None:
    client = world.connected()
    client.on("custom", lambda: None)
    client.on("end", lambda: client.write("too late"))
    assert client.destroy() is True
    turn()
    assert visible(client.events) == ["readyStateChange end", "close", "end", "destroy"]
    assert client.listeners("custom") == []
    assert not client.buffer
    assert client.destroy() is False
    client.open()
    turn()
    assert len(world.transports) == 1
    assert world.clock.running == []
    assert not client.writable


def test_destroy_after_the_end(world: World) -> None:
    client = world.connected()
    client.end()
    client.destroy()
    turn()
    assert visible(client.events) == ["readyStateChange end", "close", "end", "destroy"]


def test_a_context_manager_ends(world: World) -> None:
    client = world.connected()
    with client as same:
        assert same is client
    turn()
    assert client.events[-1] == "end"


# -- losing the connection


def test_reconnects(world: World) -> None:
    client = world.connected(**FAST)
    world.transport.drop()
    assert client.events == [
        *("incoming::end", "readyStateChange end", "close", "reconnecting", "reconnect scheduled")
    ]
    client.events.clear()
    world.clock.advance(0.02)
    assert client.events == ["reconnect", "outgoing::reconnect", *OPENING]
    client.events.clear()
    world.transport.accept()
    assert client.events == ["incoming::open", "readyStateChange open", "open", "reconnected"]


def test_what_is_written_meanwhile_arrives(world: World) -> None:
    client = world.connected(**FAST)
    world.transport.drop()
    assert client.write("meanwhile") is True
    world.clock.advance(0.02)
    world.transport.accept()
    assert world.transport.sent == ['"meanwhile"']


def test_one_outage_for_all_its_attempts_and_another_for_the_next(world: World) -> None:
    client = world.connected(**FAST)
    seen: list[tuple[str, Any, int, bool]] = []
    for event in ("reconnecting", "reconnect scheduled", "reconnect", "reconnected"):
        client.on(event, lambda o, event=event: seen.append((event, o, o.attempt, o.backoff)))
    world.transport.drop()
    world.clock.advance(0.02)
    world.transport.drop(FAILED)
    world.clock.advance(0.1)
    world.transport.accept()
    assert [(event, attempt, backoff) for event, _, attempt, backoff in seen] == [
        ("reconnecting", 1, True),
        ("reconnect scheduled", 1, True),
        ("reconnect", 1, False),
        ("reconnecting", 2, True),
        ("reconnect scheduled", 2, True),
        ("reconnect", 2, False),
        ("reconnected", 2, False),
    ]
    assert len({id(outage) for _, outage, _, _ in seen}) == 1
    outage = seen[0][1]
    assert outage.duration == pytest.approx(world.clock.now() - outage.start)
    world.transport.drop()
    assert seen[-1][1] is not outage
    assert seen[-1][2] == 1


@pytest.mark.parametrize("event", ["open", "reconnected"])
def test_end_in_a_listener_after_a_reconnect(world: World, event: str) -> None:
    client = world.connected(**FAST)
    client.on(event, lambda *_: client.end())
    world.transport.drop()
    world.clock.advance(0.02)
    world.transport.accept()
    assert client.events[-1] == "end"
    assert world.clock.running == []


def test_an_attempt_that_is_closed_without_an_error_is_followed_by_the_next(world: World) -> None:
    client = world.connected(**FAST, strategy="disconnect")
    world.transport.drop()
    world.clock.advance(0.02)
    client.events.clear()
    world.transport.drop()
    assert visible(client.events) == ["readyStateChange end", "reconnecting", "reconnect scheduled"]


def test_without_the_strategy_disconnect_it_is_the_end(world: World) -> None:
    client = world.connected(strategy="online, timeout")
    world.transport.drop()
    world.clock.advance(LONG)
    assert client.events == ["incoming::end", "readyStateChange end", "close", "outgoing::end", "end"]
    assert client.end() is False
    assert len(client.events) == 5, "the end comes once"


def test_an_error_of_an_open_connection_closes_nothing(world: World) -> None:
    client = world.connected()
    errors: list[Exception] = []
    client.on("error", errors.append)
    world.transport.error(OSError("odd"))
    assert client.events == ["incoming::error", "error"]
    assert [str(error) for error in errors] == ["odd"]
    assert client.is_open


def test_why_it_was_lost(world: World) -> None:
    client = world.connected(strategy=False)
    world.transport.drop()
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open()
    assert str(caught.value.__cause__) == "the connection to http://server.example was lost"


def test_a_server_that_breaks_the_protocol_is_an_error_too(world: World) -> None:
    client = world.connected(strategy=False)
    errors: list[Exception] = []
    client.on("error", errors.append)
    client.socket.failure = Failure(1009, "message too long")
    world.transport.drop()
    (error,) = errors
    assert isinstance(error, RemoteProtocolError)
    assert (error.reason, error.close_code, client.last_error) == ("message too long", 1009, error)
    assert visible(client.events) == ["error", "readyStateChange end", "close", "end"]


# -- failing to connect


def test_with_the_strategy_timeout(world: World) -> None:
    client = world.client(**FAST)
    client.events.clear()
    world.transport.drop(FAILED)
    assert client.events == [
        *("incoming::error", "error", "reconnecting", "reconnect scheduled"),
        *("incoming::end", "readyStateChange end"),
    ]


def test_without_the_strategy_timeout(world: World) -> None:
    client = world.client(strategy="disconnect,online")
    client.events.clear()
    world.transport.drop(FAILED)
    world.clock.advance(LONG)
    assert client.events == [
        *("incoming::error", "error", "readyStateChange end", "outgoing::end", "close", "end")
    ]


@pytest.mark.parametrize(("status", "again"), [(401, False), (403, False), (404, True), (503, True)])
def test_a_refusal_is_final_whatever_the_strategy(world: World, status: int, again: bool) -> None:
    """The specification's client cannot tell it from a failure, and so advises against `timeout`."""
    client = world.client(**FAST)
    world.transport.drop(UnexpectedResponse("http://server.example", status, {}, b"", "no"))
    assert ("reconnecting" in client.events) == again
    assert ("end" in client.events) == (not again)


def test_there_is_no_time_limit_any_more_once_it_failed(world: World) -> None:
    client = world.client(reconnect={"min_delay": 60})
    world.transport.drop(FAILED)
    world.clock.advance(59.9)
    assert "timeout" not in client.events


def test_closed_before_it_opened_without_an_error(world: World) -> None:
    client = world.client(**FAST)
    client.events.clear()
    world.transport.drop()
    assert visible(client.events) == ["readyStateChange end", "reconnecting", "reconnect scheduled"]


def test_a_transport_that_cannot_be_made_is_an_error_event(world: World) -> None:
    world.refuse = "no such thing"
    client = world.make(strategy=False)
    errors: list[Exception] = []
    client.on("error", errors.append)
    world.clock.advance(0)
    assert [str(error) for error in errors] == ["no such thing"]
    assert visible(client.events) == [
        *("readyStateChange opening", "error", "readyStateChange end", "close", "end")
    ]


def test_a_transport_that_cannot_be_made_is_tried_again(world: World) -> None:
    world.refuse = "not yet"
    client = world.client(**FAST)
    assert client.ready_state == Socket.CLOSED
    world.refuse = None
    world.clock.advance(0.02)
    world.transport.accept()
    assert client.is_open


def test_no_answer_in_time_with_the_strategy_timeout(world: World) -> None:
    client = world.client(**FAST)
    client.events.clear()
    world.clock.advance(9.99)
    assert client.events == []
    world.clock.advance(0.01)
    assert visible(client.events) == [
        *("timeout", "readyStateChange end", "reconnecting", "reconnect scheduled")
    ]
    assert world.transports[0].closed
    world.transports[0].accept()
    assert client.ready_state == Socket.CLOSED, "a late answer is no connection"


def test_no_answer_in_time_without_it(world: World) -> None:
    client = world.client(strategy="disconnect", timeout=0.05)
    client.events.clear()
    world.clock.advance(0.05)
    assert client.events == ["timeout", "readyStateChange end", "outgoing::end", "close", "end"]
    with pytest.raises(ConnectionClosed) as caught:
        client.wait_open()
    assert isinstance(caught.value.__cause__, ConnectTimeout)


def test_end_in_a_timeout_listener(world: World) -> None:
    client = world.client(timeout=0.05)
    client.on("timeout", client.end)
    client.events.clear()
    world.clock.advance(LONG)
    assert visible(client.events) == ["timeout", "readyStateChange end", "close", "end"]


def test_timeout_false_waits_for_ever(world: World) -> None:
    client = world.client(timeout=False)
    client.events.clear()
    world.clock.advance(6000)
    assert client.events == []


def test_an_error_during_a_reconnect_attempt_is_none_only_the_next_attempt(world: World) -> None:
    client = world.connected(**FAST)
    world.transport.drop()
    world.clock.advance(0.02)
    client.events.clear()
    world.transport.drop(FAILED)
    assert client.events == [
        *("incoming::error", "reconnecting", "reconnect scheduled", "incoming::end", "readyStateChange end")
    ]


def test_retries_used_up(world: World) -> None:
    client = world.connected(**FAST)
    failures: list[tuple[Any, ...]] = []
    client.on(
        "reconnect failed", lambda e, o: failures.append((e, o.attempt, o.retries, round(o.duration, 3)))
    )
    world.transport.drop()
    world.clock.advance(0.02)
    world.transport.drop(FAILED)
    world.clock.advance(0.1)
    client.events.clear()
    world.transport.drop(FAILED)
    assert visible(client.events) == ["readyStateChange end", "end", "reconnect failed"]
    ((error, *rest),) = failures
    assert isinstance(error, ConnectError)
    assert (str(error), error.__cause__, rest) == ("Unable to recover", FAILED, [2, 2, 0.12])
    client.end()
    world.clock.advance(LONG)
    assert len(visible(client.events)) == 3
    assert len(world.transports) == 3


def test_an_attempt_that_hangs(world: World) -> None:
    client = world.connected(reconnect={"min_delay": 0.02, "reconnect_timeout": 1})
    expired: list[Any] = []
    client.on("reconnect timeout", lambda error, outage: expired.append((str(error), outage.attempt)))
    world.transport.drop()
    world.clock.advance(0.02)
    client.events.clear()
    world.clock.advance(1)
    assert visible(client.events) == [
        *("readyStateChange end", "reconnect timeout", "reconnecting", "reconnect scheduled")
    ]
    assert expired == [("Failed to reconnect in a timely manner", 1)]
    assert world.transports[1].closed


# -- listeners


@pytest.mark.parametrize("event", ["open", "readyStateChange", "incoming::open"])
def test_a_listener_that_raises_does_not_stop_the_opening(world: World, event: str, caplog: Any) -> None:
    client = world.client()
    client.on(event, lambda *_: 1 / 0)
    client.write("queued")
    world.transport.accept()
    assert world.transport.sent == ['"queued"']
    world.clock.advance(25)
    assert len(world.transport.sent) == 2, "the heartbeat runs"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("event", ["close", "reconnecting", "reconnect"])
def test_a_listener_that_raises_does_not_stop_the_reconnect(world: World, event: str) -> None:
    client = world.connected()
    client.on(event, lambda *_: 1 / 0)
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    assert client.is_open


def test_a_listener_that_blocks_holds_up_nobody(world: World) -> None:
    client = world.client()
    client.on("open", lambda: gevent.sleep(60))
    second: list[str] = []
    client.on("open", lambda: second.append("open"))
    world.transport.accept()
    assert second == ["open"]
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    assert client.is_open


def test_every_event_that_the_client_emits_is_reserved(world: World) -> None:
    client = world.client(reconnect={"retries": 1})
    world.transport.accept()
    world.clock.advance(35)
    world.clock.advance(0.5)
    world.transport.drop(FAILED)
    client.open()
    world.clock.advance(10)
    client.destroy()
    turn()
    names = {event.split(" ")[0] if "::" in event or "ready" in event else event for event in client.events}
    assert {"reconnect failed", "timeout", "destroy", "offline"} <= names
    assert [name for name in names if not client.reserved(name)] == []


def test_reserved(world: World) -> None:
    client = world.make(manual=True)
    assert all(client.reserved(name) for name in [*CLIENT_EVENTS, "incoming::anything", "outgoing::"])
    free = ["custom", "connection", "toString", "incoming", "x incoming::y", ""]
    assert [name for name in free if client.reserved(name)] == []


def test_remove_all_listeners_leaves_the_client_working(world: World) -> None:
    client = world.connected()
    client.remove_all_listeners()
    late: list[Any] = []
    client.on("data", late.append)
    turn()
    world.transport.message("1")
    world.transport.drop()
    world.clock.advance(0.5)
    world.transport.accept()
    assert late == [1]
    assert "reconnected" in client.events


def test_a_listener_of_outgoing_url_edits_the_address(world: World) -> None:
    client = world.make()

    def edit(url: Any) -> None:
        url.host = "other.example"
        url.query = "token=1"

    client.on("outgoing::url", edit)
    world.clock.advance(0)
    assert str(world.transport.url) == "http://other.example/primus/?token=1&_primuscb=1400000000000-0"
